"""Turns text into a command, or into a mistake with the nearest valid form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from bot.commands.clusters import IN, in_cluster
from bot.commands.model import (
    ApplyCommand,
    AppsCommand,
    ClearCommand,
    Command,
    DeployCommand,
    ExplainCommand,
    FreezeCommand,
    GetCommand,
    HelpCommand,
    Mistake,
    PodsCommand,
    ReleasesCommand,
    RolloutCommand,
    ScaleCommand,
    Suggestion,
    TrafficCommand,
    UnfreezeCommand,
    WhoamiCommand,
)
from bot.commands.normalise import normalise
from bot.commands.parse_deploy import parse_deploy
from bot.commands.parse_release import parse_release
from bot.commands.reading import (
    KINDS,
    Line,
    app_named,
    app_or_all,
    mistake_about_app,
    moment,
    no_more,
    one_app,
    whole_number,
)
from bot.commands.table import BY_NAME, ROLLOUT_VERBS, KnownNames, permission_of
from bot.commands.words import read_words, split
from bot.policy.permissions import Permission
from config.durations import parse_duration
from config.nearest import listed, nearest

MAX_TEXT = 4_000
_PATH = re.compile(r"[A-Za-z][\w-]*(?:\.[\w-]+)*", re.ASCII)
_FAMILIAR = {  # words that people know from other tools
    "rollback": "rollout undo",
    "revert": "rollout undo",
    "restart": "rollout restart",
    "cancel": "rollout abort",
    "stop": "rollout abort",
    "approve": "rollout promote",
    "history": "rollout history",
    "ps": "pods",
    "po": "pods",
    "describe": "get",
    "logs": "pods",
    "list": "apps",
    "status": "rollout status",
    "?": "help",
    "hi": "help",
    "hello": "help",
    "me": "whoami",
}

_OTHER_KINDS = frozenset(
    {
        "all",
        "secret",
        "secrets",
        "configmap",
        "configmaps",
        "cm",
        "node",
        "nodes",
        "no",
        "namespace",
        "namespaces",
        "ns",
        "ingress",
        "ingresses",
        "ing",
        "job",
        "jobs",
        "cronjob",
        "cronjobs",
        "cj",
        "daemonset",
        "daemonsets",
        "ds",
        "statefulset",
        "statefulsets",
        "sts",
        "endpoints",
        "ep",
        "endpointslice",
        "endpointslices",
        "hpa",
        "pdb",
        "pvc",
        "pv",
    }
)


def parse(text: str, known: KnownNames) -> Command | Mistake:
    """``text`` begins with the command's name; no text asks for help."""
    if len(text) > MAX_TEXT:
        return Mistake(f"That is {len(text):,} characters. A command may have {MAX_TEXT:,}.")
    tokens = split(normalise(text))
    if isinstance(tokens, Mistake):
        return tokens
    meant = _meant(tokens, known)
    if not isinstance(meant, Mistake) or meant.fix is None:
        return meant
    return replace(meant, instead=_suggestions(tokens, known, meant, *meant.fix))


def _suggestions(
    tokens: list[str], known: KnownNames, mistake: Mistake, wrong: str, rights: tuple[str, ...]
) -> tuple[Suggestion, ...]:
    """Never less careful than what was typed: what changes something asks first, and another app's
    release opens the form."""
    found = []
    is_unknown_app = bool(wrong) and mistake.field == "app"
    for form in _fixed(tokens, wrong, rights):
        command = _meant(form, known)
        if isinstance(command, Mistake):
            continue
        if not _changes_something(command):
            found.append(Suggestion(" ".join(form)))
        elif not is_unknown_app or len(rights) == 1:
            in_form = isinstance(command, DeployCommand) and (
                is_unknown_app or mistake.loses_a_word
            )
            found.append(Suggestion(" ".join(form), "form" if in_form else "confirm"))
        elif not found:
            found.append(Suggestion("apps"))
    return tuple(found)


def _changes_something(command: Command) -> bool:
    if isinstance(command, DeployCommand):
        return command.version is not None and not command.dry_run
    return permission_of(command) is not Permission.READ


def _without_cluster(tokens: list[str]) -> Iterator[str]:
    before = ""
    for token in tokens:
        if token.lstrip("-").partition("=")[0].lower() != IN and before != f"--{IN}":
            yield token
        before = token


def _fixed(tokens: list[str], wrong: str, rights: tuple[str, ...]) -> Iterator[list[str]]:
    """The line with the wrong word replaced, or with the missing word after the command and its
    verb."""
    if wrong == f"{IN}=":
        yield from ([*_without_cluster(tokens), right] for right in rights)
        return
    if not wrong:
        behind = 2 if len(tokens) > 1 and tokens[1].lower() in ROLLOUT_VERBS else 1
        yield from ([*tokens[:behind], right, *tokens[behind:]] for right in rights)
        return
    at = next(
        (
            i
            for i, token in enumerate(tokens)
            if re.search(rf"(^|[/=]){re.escape(wrong)}($|[:@])", token, re.IGNORECASE)
        ),
        None,
    )
    if at is not None:
        for right in rights:
            repaired = re.sub(
                rf"(^|[/=]){re.escape(wrong)}($|[:@])",
                rf"\g<1>{right}\g<2>",
                tokens[at],
                flags=re.IGNORECASE,
            )
            yield [*tokens[:at], *repaired.split(), *tokens[at + 1 :]]


def _meant(tokens: list[str], known: KnownNames) -> Command | Mistake:
    if not tokens:
        return HelpCommand()
    name = tokens[0].strip("`").removeprefix("/").lower()
    reader = _READERS.get(name)
    if reader is None:
        return _no_such_command(name, tokens[1:], known)
    spec = BY_NAME[name]
    words = read_words(tokens[1:], spec)
    if isinstance(words, Mistake):
        return Mistake(words.line, words.hint or known.names.usage(name))
    labels = {f"{k}:{v}" for one in known.labels.values() for k, v in one.items()}
    line = Line(
        spec,
        words,
        known.apps,
        tuple(known.here),
        tuple(known.clusters),
        known.names,
        tuple(sorted(labels)),
    )
    command = reader(line)
    if isinstance(command, Mistake):
        return command
    return in_cluster(command, words.options.get(IN), known)


def _nearest_command(name: str) -> str:
    command = "" if name in ROLLOUT_VERBS else nearest(name, BY_NAME)
    verb = nearest(name, ROLLOUT_VERBS)
    return command or (f"rollout {verb}" if verb else "")


def _no_such_command(name: str, rest: list[str], known: KnownNames) -> Mistake:
    tail = " ".join(rest)
    meant = _FAMILIAR.get(name) or _nearest_command(name)
    if meant:
        command, _, verb = meant.partition(" ")
        after = "" if command == "help" else tail  # who says hi names no command
        form = f"{known.names.typed(command)} {verb} {after}"
        return Mistake(
            f"No command `{name}`. Did you mean `{' '.join(form.split())}`?",
            known.names.usage(command),
            (name, (meant,)),
        )
    return Mistake(f"No command `{name}`. Choose {listed(BY_NAME)}.", known.names.typed("help"))


def _scale(line: Line) -> Command | Mistake:
    positional = list(line.words.positional)
    count = line.words.options.get("replicas")
    if count is None and positional and re.fullmatch(r"[+-]?\d+", positional[-1]):
        count = positional.pop()
    app = one_app(line, positional)
    if isinstance(app, Mistake):
        return app
    if count is None and len(positional) == 1:
        count = positional.pop()
    extra = no_more(line, positional)
    if extra:
        return extra
    if count is None:
        return Mistake("How many replicas?", f"{line.names.typed('scale')} {app} 3")
    number = whole_number(count)
    if number is None:
        return Mistake(
            f"`{count}` is not a number of replicas.", f"{line.names.typed('scale')} {app} 3"
        )
    return ScaleCommand(app, number, line.words.options.get("reason", ""))


def _rollout(line: Line) -> Command | Mistake:
    positional = list(line.words.positional)
    if not positional:
        return Mistake(
            f"Which verb? {listed(ROLLOUT_VERBS)}",
            line.names.usage("rollout"),
            ("", ("status", "history")),
        )
    verb = positional.pop(0).lower()
    if verb not in ROLLOUT_VERBS:
        return _unknown_verb(line, verb, positional)
    revision = _revision(line, verb)
    if isinstance(revision, Mistake):
        return revision
    if "force" in line.words.options and verb != "abort":
        return Mistake(f"`--force` is for abort, not for {verb}.", line.names.usage("rollout"))
    app = (
        app_or_all(line, positional) if verb in ("status", "history") else one_app(line, positional)
    )
    if isinstance(app, Mistake):
        return app
    extra = no_more(line, positional)
    if extra:
        return extra
    reason = line.words.options.get("reason", "")
    return RolloutCommand(ROLLOUT_VERBS[verb], app, revision, "force" in line.words.options, reason)


def _unknown_verb(line: Line, verb: str, rest: list[str]) -> Mistake:
    verb_again = rest[0].lower() if rest else ""
    if verb_again in ROLLOUT_VERBS:  # "rollout hello status"
        form = f"{line.names.typed('rollout')} {verb_again} {verb}"
        return Mistake(
            f"The verb comes first: `{form}`",
            form,
            instead=(
                Suggestion(
                    " ".join(["rollout", verb_again, verb, *rest[1:]]),
                    "run" if verb_again in ("status", "history") else "confirm",
                ),
            ),
        )
    close = _FAMILIAR.get(verb, "").removeprefix("rollout ") or nearest(verb, ROLLOUT_VERBS)
    form = f"{line.names.typed('rollout')} {close} {' '.join(rest)}".rstrip()
    hint = (
        f"Did you mean `{form}`?" if close in ROLLOUT_VERBS else f"Choose {listed(ROLLOUT_VERBS)}."
    )
    fix = (verb, (close,)) if close in ROLLOUT_VERBS else None
    return Mistake(f"No verb `{verb}`. {hint}", line.names.usage("rollout"), fix)


def _revision(line: Line, verb: str) -> int | Mistake | None:
    """As in kubectl: ``undo --to-revision N``, ``history --revision N``. Either option works for
    both."""
    given = [name for name in ("to-revision", "revision") if name in line.words.options]
    if not given:
        return None
    if verb not in ("undo", "history"):
        return Mistake(
            f"`--{given[0]}` is for undo and history, not for {verb}.",
            f"{line.names.typed('rollout')} undo APP --to-revision 2",
        )
    revision = whole_number(line.words.options[given[0]])
    if revision is None:
        return Mistake(
            f"`{line.words.options[given[0]]}` is not a revision.",
            f"{line.names.typed('rollout')} history APP",
        )
    return revision


def _reading(make: Callable[[str | None], Command]) -> Callable[[Line], Command | Mistake]:
    def read(line: Line) -> Command | Mistake:
        positional = list(line.words.positional)
        app = app_or_all(line, positional)
        if isinstance(app, Mistake):
            return app
        return no_more(line, positional) or make(app)

    return read


def _bare(make: Callable[[], Command]) -> Callable[[Line], Command | Mistake]:
    return lambda line: no_more(line, list(line.words.positional)) or make()


def _get(line: Line) -> Command | Mistake:
    positional = list(line.words.positional)
    wide = "wide" in line.words.options
    output = line.words.options.get("output", line.words.options.get("o"))
    if output is not None and output.lower() != "wide":
        return Mistake(f"The only output is `wide`, not `{output}`.", line.names.usage("get"))
    if not positional:
        return Mistake(
            f"Which kind? {listed(dict.fromkeys(KINDS.values()))}", line.names.example("get")
        )
    word = positional.pop(0)
    kind, slash, named = word.partition("/")
    objects = KINDS.get(kind.lower())
    if objects is None:
        shown = dict.fromkeys(KINDS.values())
        # A real kind is no misspelling of one of ours.
        if kind.lower() in _OTHER_KINDS:
            return Mistake(
                f"get does not show `{kind}`. It shows {listed(shown, 'and')}.",
                line.names.usage("get"),
            )
        close = nearest(kind.lower(), shown)
        rest = " ".join(positional)
        if close:
            form = f"{line.names.typed('get')} {close} {rest}".rstrip()
            return Mistake(f"No kind `{kind}`. Did you mean `{form}`?", "", (kind, (close,)))
        return Mistake(f"No kind `{kind}`. Choose {listed(shown)}.", line.names.usage("get"))
    if slash:
        positional.insert(0, named)
    app = app_or_all(line, positional)
    if isinstance(app, Mistake):
        return app
    return no_more(line, positional) or GetCommand(objects, app, wide or output is not None)


def _explain(line: Line) -> Command | Mistake:
    positional = list(line.words.positional)
    if not positional:
        return Mistake(
            "Which field? Name a kind and its fields, joined by dots.",
            line.names.example("explain"),
        )
    path = positional.pop(0)
    if not _PATH.fullmatch(path):
        return Mistake(f"`{path}` is not a path of fields.", line.names.example("explain"))
    return no_more(line, positional) or ExplainCommand(path, "recursive" in line.words.options)


def _apply(line: Line) -> Command | Mistake:
    positional = list(line.words.positional)
    app = one_app(line, positional)
    if isinstance(app, Mistake):
        return app
    return no_more(line, positional) or ApplyCommand(app)


def _help(line: Line) -> Command | Mistake:
    positional = list(line.words.positional)
    if not positional:
        return HelpCommand()
    topic = positional[0].lower().removeprefix("/").removeprefix(line.names.prefix)
    if topic in BY_NAME:
        return HelpCommand(topic)
    if topic in ROLLOUT_VERBS or _FAMILIAR.get(topic, "").startswith("rollout"):
        return HelpCommand("rollout")
    close = nearest(topic, BY_NAME)
    hint = (
        f" Did you mean `{line.names.typed('help')} {close}`?"
        if close
        else f" Choose {listed(BY_NAME)}."
    )
    return Mistake(
        f"No command `{topic}`.{hint}",
        line.names.typed("help"),
        (topic, (close,)) if close else None,
    )


def _scope(line: Line, positional: list[str]) -> str | Mistake:
    cluster = line.words.options.get("cluster")
    word = f"cluster:{cluster}" if cluster else (positional.pop(0) if positional else "")
    if not word:
        return Mistake(
            "Which scope? An app, cluster:NAME, a label of clusters such as region:eu, or all.",
            line.names.example(line.spec.name, next(iter(line.apps), "APP")),
        )
    if word.lower() in ("all", "everything", "*"):
        return "all"
    head, colon, name = word.partition(":")
    if colon and head.lower() == "cluster":
        if name in line.clusters:
            return f"cluster:{name}"
        close = nearest(name, line.clusters)
        return Mistake(
            f"No cluster `{name}`. "
            + (f"Did you mean `cluster:{close}`?" if close else f"Choose {listed(line.clusters)}.")
        )
    if word in line.labels:
        return word
    if colon:
        return _no_label(line, word)
    app = app_named(line, word)
    if app is not None:
        return app
    if word in line.clusters:
        return f"cluster:{word}"
    return mistake_about_app(line, word)


def _clear(line: Line) -> Command | Mistake:
    positional = list(line.words.positional)
    app = one_app(line, positional)
    if isinstance(app, Mistake):
        return app
    version = positional.pop(0) if positional else ""
    extra = no_more(line, positional)
    if extra:
        return extra
    reason = line.words.options.get("reason", "")
    if not reason:
        form = f"{line.names.typed('clear')} {app} {version}".rstrip()
        return Mistake("Why may machines release it again?", f'{form} reason="…"')
    return ClearCommand(app, version, reason)


def _no_label(line: Line, word: str) -> str | Mistake:
    """A freeze is lifted also where no cluster has its label any more."""
    if line.spec.name == "unfreeze":
        return word
    close = nearest(word, line.labels)
    hint = f"Did you mean `{close}`?" if close else "Use an app, cluster:NAME or all."
    return Mistake(f"No cluster has the label `{word}`. {hint}")


def _freeze(line: Line) -> Command | Mistake:
    positional = list(line.words.positional)
    scope = _scope(line, positional)
    if isinstance(scope, Mistake):
        return scope
    extra = no_more(line, positional)
    if extra:
        return extra
    reason = line.words.options.get("reason", "")
    if not reason:
        return Mistake(
            "A freeze needs a reason.", f'{line.names.typed("freeze")} {scope} reason="…"'
        )
    running = line.words.options.get("running", "continue")
    if running not in ("continue", "hold"):
        return Mistake(f"`running={running}` is neither hold nor continue. Write running=hold.")
    until = line.words.options.get("until")
    frozen = FreezeCommand(scope, reason, running="hold" if running == "hold" else "continue")
    if until is None:
        return frozen
    try:
        return replace(frozen, for_ms=parse_duration(until))
    except ValueError:
        at = moment(until)
        if at is None:
            return Mistake(
                f"`until={until}` is neither a duration nor a time. Write until=2h or"
                " until=2026-12-31T18:00Z."
            )
        return replace(frozen, until_ms=at)


def _unfreeze(line: Line) -> Command | Mistake:
    positional = list(line.words.positional)
    scope = _scope(line, positional)
    if isinstance(scope, Mistake):
        return scope
    return no_more(line, positional) or UnfreezeCommand(scope)


_READERS: dict[str, Callable[[Line], Command | Mistake]] = {
    "deploy": parse_deploy,
    "scale": _scale,
    "rollout": _rollout,
    "pods": _reading(PodsCommand),
    "get": _get,
    "explain": _explain,
    "apply": _apply,
    "traffic": _reading(TrafficCommand),
    "releases": _reading(ReleasesCommand),
    "release": parse_release,
    "apps": _bare(AppsCommand),
    "whoami": _bare(WhoamiCommand),
    "help": _help,
    "freeze": _freeze,
    "unfreeze": _unfreeze,
    "clear": _clear,
}
