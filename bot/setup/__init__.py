"""What `pilothouse init` writes for a new installation, from a cluster that a person names.

Belongs here: the questions, the choice of apps among the Deployments found, and the texts of the
catalog and of the chart's values. Does not belong here: reading the cluster (bot.cluster), Slack's
manifest (bot.slack.manifest), and the rules of the catalog (config). Nothing here holds a secret:
credentials stay in the kubeconfig, and tokens in the Secret that a person makes.
"""
