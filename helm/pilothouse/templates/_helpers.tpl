{{- define "pilothouse.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 53 | trimSuffix "-" -}}
{{- end }}

{{- define "pilothouse.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "pilothouse.name" . -}}
{{- if contains $name .Release.Name -}}{{- .Release.Name | trunc 53 | trimSuffix "-" -}}{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" -}}{{- end -}}
{{- end -}}
{{- end }}

{{- define "pilothouse.selector" -}}
app.kubernetes.io/name: {{ include "pilothouse.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "pilothouse.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "pilothouse.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "pilothouse.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "pilothouse.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end }}

{{- define "pilothouse.botServiceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- printf "%s-bot" (include "pilothouse.fullname" .) -}}
{{- else -}}
default
{{- end -}}
{{- end }}

{{- define "pilothouse.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "pilothouse.catalogConfigMap" -}}
{{- .Values.existingCatalogConfigMap | default (printf "%s-catalog" (include "pilothouse.fullname" .)) -}}
{{- end }}

{{/* A ConfigMap key holds no slash; the volume gives the file its path back. */}}
{{- define "pilothouse.fileKey" -}}
{{- . | replace "/" "__" -}}
{{- end }}

{{- define "pilothouse.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "pilothouse.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Holds the passwords of the bundled Redis' users. */}}
{{- define "pilothouse.redisSecret" -}}
{{- .Values.redis.existingSecret | default (printf "%s-redis-users" (include "pilothouse.fullname" .)) -}}
{{- end }}

{{/* Argument: a dict of root, component, which is also the user at Redis. */}}
{{- define "pilothouse.env" -}}
{{- $component := .component -}}
{{- with .root -}}
- {name: PILOTHOUSE_CONFIG, value: /etc/pilothouse/catalog.yaml}
- {name: PILOTHOUSE_HOST, value: 0.0.0.0}
- {name: PILOTHOUSE_LOG_LEVEL, value: {{ .Values.log.level | quote }}}
- {name: PILOTHOUSE_LOG_FORMAT, value: {{ .Values.log.format | quote }}}
- {name: SLACK_BOT_TOKEN_FILE, value: /run/secrets/slack/bot-token}
- {name: PILOTHOUSE_COMMANDS, value: {{ .Values.slack.commands | quote }}}
{{- if .Values.slack.prefix }}
- {name: PILOTHOUSE_PREFIX, value: {{ .Values.slack.prefix | quote }}}
{{- end }}
{{- if .Values.slack.apiUrl }}
- {name: SLACK_API_URL, value: {{ .Values.slack.apiUrl | quote }}}
{{- end }}
{{- if .Values.redis.bundled }}
- {name: REDIS_URL, value: {{ printf "redis://%s@%s-redis:6379/0" $component (include "pilothouse.fullname" .) | quote }}}
- {name: REDIS_PASSWORD_FILE, value: /run/secrets/redis/password}
{{- else }}
- {name: REDIS_URL_FILE, value: /run/secrets/redis/url}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "pilothouse.volumeMounts" -}}
- {name: catalog, mountPath: /etc/pilothouse, readOnly: true}
- {name: slack, mountPath: /run/secrets/slack, readOnly: true}
- {name: redis, mountPath: /run/secrets/redis, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Argument: a dict of root, component. Only the bot gets what proves that a request is Slack's, and each its own password. */}}
{{- define "pilothouse.volumes" -}}
{{- $component := .component -}}
{{- with .root -}}
- name: catalog
  configMap:
    name: {{ include "pilothouse.catalogConfigMap" . }}
    {{- if and .Values.files (not .Values.existingCatalogConfigMap) }}
    items:
    - {key: catalog.yaml, path: catalog.yaml}
    {{- range $path, $_ := .Values.files }}
    - {key: {{ include "pilothouse.fileKey" $path | quote }}, path: {{ $path | quote }}}
    {{- end }}
    {{- end }}
- name: slack
  secret:
    secretName: {{ .Values.slack.existingSecret }}
    defaultMode: 0440
    items:
    - {key: {{ .Values.slack.keys.botToken | quote }}, path: bot-token}
    {{- if ne $component "bot" }}
    {{- else if .Values.slack.socketMode }}
    - {key: {{ .Values.slack.keys.appToken | quote }}, path: app-token}
    {{- else }}
    - {key: {{ .Values.slack.keys.signingSecret | quote }}, path: signing-secret}
    {{- end }}
- name: redis
  secret:
    secretName: {{ include "pilothouse.redisSecret" . }}
    defaultMode: 0440
    items:
    {{- if .Values.redis.bundled }}
    - {key: {{ get .Values.redis.keys (printf "%sPassword" $component) | quote }}, path: password}
    {{- else }}
    - {key: {{ get .Values.redis.keys (printf "%sUrl" $component) | quote }}, path: url}
    {{- end }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Argument: a dict of root, component. What is set for a component wins. */}}
{{- define "pilothouse.placement" -}}
{{- $own := get .root.Values .component -}}
{{- with .root -}}
{{- with $own.nodeSelector | default .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations | default .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity | default .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.priorityClassName | default .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- {name: {{ . }}}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* What both kinds of pod have in common. Argument: a dict of root, component. */}}
{{- define "pilothouse.podMetadata" -}}
{{- with .root -}}
labels:
  {{- include "pilothouse.labels" . | nindent 2 }}
  app.kubernetes.io/component: {{ $.component }}
  {{- with .Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
{{- end }}

{{- define "pilothouse.spread" -}}
topologySpreadConstraints:
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "pilothouse.selector" .root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* A JSON list: where the catalog has apps of the cluster that this is installed in. */}}
{{- define "pilothouse.namespaces" -}}
{{- if or .Values.rbac.namespaces (not .Values.catalog) -}}
{{- .Values.rbac.namespaces | default (list .Release.Namespace) | toJson -}}
{{- else -}}
{{- $clusters := .Values.catalog.clusters | default dict -}}
{{- $defaults := .Values.catalog.defaults | default dict -}}
{{- $found := list -}}
{{- range $app := .Values.catalog.apps -}}
{{- $app = $app | default dict -}}
{{- $inherited := $defaults.clusters | default (compact (list ($defaults.cluster | default ""))) | default (keys $clusters) -}}
{{- range $app.clusters | default (compact (list ($app.cluster | default ""))) | default $inherited -}}
{{- if (get $clusters . | default dict).in_cluster -}}
{{- $found = append $found ($app.namespace | default $defaults.namespace | default "default") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $found | uniq | sortAlpha | toJson -}}
{{- end -}}
{{- end }}

{{/* JSON: what `watch` of the catalog means in the cluster that this is installed in: {namespaces: […], patterns: true or false}. */}}
{{- define "pilothouse.watched" -}}
{{- $watch := (.Values.catalog | default dict).watch | default dict -}}
{{- $here := false -}}
{{- range $name, $cluster := (.Values.catalog | default dict).clusters -}}
{{- if and $cluster.in_cluster (or (not $watch.clusters) (has $name $watch.clusters)) -}}{{- $here = true -}}{{- end -}}
{{- end -}}
{{- $namespaces := list -}}
{{- $patterns := false -}}
{{- if $here -}}
{{- range $watch.namespaces -}}
{{- if contains "*" . -}}{{- $patterns = true -}}{{- else -}}{{- $namespaces = append $namespaces . -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- dict "namespaces" ($namespaces | uniq | sortAlpha) "patterns" $patterns | toJson -}}
{{- end }}

{{/* A pod that runs `pilothouse doctor` as the workers would, once. Argument: a dict of root, and for the gate, which has nothing of the
     chart beside it: args, serviceAccount, catalog (a ConfigMap), withoutRedis. */}}
{{- define "pilothouse.doctor" -}}
{{- $args := .args | default (list "doctor") -}}
{{- $serviceAccount := .serviceAccount | default (include "pilothouse.serviceAccount" .root) -}}
{{- $catalog := .catalog | default (include "pilothouse.catalogConfigMap" .root) -}}
{{- $withoutRedis := .withoutRedis -}}
{{- with .root -}}
{{- $env := list -}}
{{- range include "pilothouse.env" (dict "root" . "component" "worker") | fromYamlArray -}}
{{- if not (and $withoutRedis (eq .name "REDIS_PASSWORD_FILE")) -}}{{- $env = append $env . -}}{{- end -}}
{{- end -}}
{{- $mounts := list -}}
{{- range include "pilothouse.volumeMounts" . | fromYamlArray -}}
{{- if not (and $withoutRedis (eq .name "redis")) -}}{{- $mounts = append $mounts . -}}{{- end -}}
{{- end -}}
{{- $volumes := list -}}
{{- range include "pilothouse.volumes" (dict "root" . "component" "worker") | fromYamlArray -}}
{{- if eq .name "catalog" -}}{{- $_ := set .configMap "name" $catalog -}}{{- end -}}
{{- if not (and $withoutRedis (eq .name "redis")) -}}{{- $volumes = append $volumes . -}}{{- end -}}
{{- end -}}
serviceAccountName: {{ $serviceAccount }}
enableServiceLinks: false
restartPolicy: Never
activeDeadlineSeconds: 60
securityContext:
  {{- include "pilothouse.podSecurity" . | nindent 2 }}
{{- with include "pilothouse.placement" (dict "root" . "component" "worker") | trim }}
{{ . }}
{{- end }}
containers:
- name: doctor
  image: {{ include "pilothouse.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: {{ toJson $args }}
  env:
    {{- toYaml $env | nindent 4 }}
  resources:
    {{- toYaml .Values.bot.resources | nindent 4 }}
  securityContext:
    {{- include "pilothouse.containerSecurity" . | nindent 4 }}
  volumeMounts:
    {{- toYaml $mounts | nindent 4 }}
volumes:
  {{- toYaml $volumes | nindent 2 }}
{{- end -}}
{{- end }}
