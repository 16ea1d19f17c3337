// The page as a whole: state, live updates, keyboard shortcuts.
import { useCallback, useEffect, useMemo, useReducer, useRef, useState } from "react";
import { get, listen, post } from "./api.js";
import { useAnnouncer } from "./announcer.jsx";
import { Me, permalink, Surroundings } from "./blocks.jsx";
import { Composer } from "./composer.jsx";
import { Inspector } from "./inspector.jsx";
import { Home, Modal } from "./modal.jsx";
import { problemText } from "./problems.js";
import { Sidebar } from "./sidebar.jsx";
import { authorOf, initial, personOf, plainText, reduce, threadOf, timeline } from "./store.js";
import { useTheme } from "./theme.js";
import { Timeline } from "./timeline.jsx";

export function App() {
  const [state, dispatch] = useReducer(reduce, initial, (first) => ({ ...first, me: /^U0[A-Z0-9]+$/.test(localStorage.getItem("me") ?? "") ? localStorage.getItem("me") : first.me, ...arrival() }));
  const [theme, setting, cycleTheme] = useTheme();
  const [announce, announcer] = useAnnouncer(state.me);
  const [notice, setNotice] = useState(null);
  const [sent, setSent] = useState({ channel: 0, thread: 0 }); // lines that the person sent: each brings the newest message into view
  const person = useRef(state.me);
  person.current = state.me;
  const now = useRef(state);
  now.current = state;
  const { workspace, me, channel, panel } = state;

  const refresh = useCallback(() => get("workspace").then((found) => dispatch({ type: "workspace", workspace: found })), []);
  useEffect(() => void refresh(), [refresh]);

  useEffect(() => {
    const onEvent = (kind, content) => {
      if (kind === "workspace") return void refresh();
      dispatch({ type: kind, content });
      if (kind === "reset") void refresh();
      const { message } = content;
      const { workspace: place } = now.current;
      if ((kind === "message" || kind === "message_changed") && place && content.channel === now.current.channel && message.text) {
        const author = authorOf(place, message).real_name;
        const said = plainText(place, message.text);
        if (kind === "message") announce(message.ts, `${author}: ${said}`);
        else if (message.bot_id && message.edited) announce(message.ts, `Updated: ${said}`);
      }
    };
    const stop = listen(me, onEvent, (connected) => {
      dispatch({ type: "connected", connected });
      if (connected) {
        void refresh();
        void get("views", { user: me }).then((found) => {
          dispatch({ type: "views", content: { user: me, views: found.views } });
          dispatch({ type: "home", content: { user: me, view: found.home } });
        });
        void get("log", { limit: 200 }).then((found) => dispatch({ type: "old_log", entries: found.entries }));
      }
    });
    return stop;
  }, [me, refresh, announce]);

  const isHome = channel === "home";
  useEffect(() => {
    if (isHome) void post("home", { user: me });
    else if (state.isLive && !state.loaded[channel]) void get("messages", { channel, user: me }).then((found) => found.ok && dispatch({ type: "loaded", channel, user: me, messages: found.messages }));
  }, [channel, me, isHome, state.isLive, state.loaded[channel], state.epoch]);

  const go = useCallback((id, ts, thread) => dispatch({ type: "go", channel: id, highlight: ts ?? null, panel: thread ? { kind: "thread", ts: thread } : undefined }), []);
  const become = useCallback((user) => {
    localStorage.setItem("me", user);
    const current = now.current.workspace;
    const places = current.channels.filter((place) => place.members.includes(user));
    const stays = now.current.channel === "home" || places.some((place) => place.id === now.current.channel);
    dispatch({ type: "be", user, channel: stays ? now.current.channel : places.find((place) => !place.is_im)?.id ?? places[0].id });
    setNotice(null);
  }, []);
  const say = useCallback(async (line, thread_ts) => {
    setNotice(null);
    setSent((old) => (thread_ts ? { ...old, thread: old.thread + 1 } : { ...old, channel: old.channel + 1 }));
    const answer = await post("command", { user: me, channel: now.current.channel, text: line, thread_ts });
    if (answer.ok === false && !answer.message) {
      setNotice(problemText(answer));
      return false;
    }
    return true;
  }, [me]);
  const openThread = useCallback((ts) => dispatch({ type: "panel", panel: { kind: "thread", ts } }), []);
  const dismiss = useCallback((ts) => dispatch({ type: "dismiss", channel: now.current.channel, ts }), []);
  useShortcuts(dispatch, now);

  const surroundings = useMemo(() => workspace && { workspace, person, theme, go }, [workspace, theme, go]);
  if (!workspace) return <div className="loading" role="status">Opening the workspace…</div>;
  const known = personOf(workspace, me) ?? workspace.people[0];

  const place = workspace.channels.find((one) => one.id === channel);
  const title = isHome ? workspace.app.name : place?.is_im ? workspace.app.name : `#${place?.name ?? "unknown"}`;
  const messages = isHome ? [] : timeline(state, channel);
  return (
    <Surroundings.Provider value={surroundings}>
      <Me.Provider value={me}>
        <a className="skip" href="#content">Skip to the conversation</a>
        <div className={`app${panel ? " app-with-panel" : ""}`}>
          <Sidebar state={state} dispatch={dispatch} onPerson={become} />
          <main className="main" id="content" tabIndex={-1}>
            <header className="main-header">
              <button type="button" className="tool menu-button" aria-label="Open channels" aria-expanded={state.drawer} onClick={() => dispatch({ type: "drawer", open: true })}>☰</button>
              <div className="main-title">
                <h1>{title}</h1>
                <p>{isHome ? "Home tab" : place?.is_im ? `Direct message with ${known.real_name}` : place?.topic}</p>
              </div>
              <span className="acting-chip" title="Acting as">{known.real_name}</span>
              <button type="button" className="tool" onClick={cycleTheme} aria-label={`Theme: ${setting}. Change`} title={`Theme: ${setting}`}>{{ system: "◐", light: "☀", dark: "☾" }[setting]}</button>
              <button type="button" className="tool tool-text" aria-label="Inspector" aria-pressed={panel?.kind === "inspector"} onClick={() => dispatch({ type: "panel", panel: panel?.kind === "inspector" ? null : { kind: "inspector" } })}>
                <span aria-hidden="true">{"{ }"}</span><span className="tool-label">Inspector</span>
              </button>
            </header>
            {!state.connected && <p className="banner" role="alert">The connection to the local Slack was lost. Reconnecting…</p>}
            {isHome ? (
              <Home view={state.home} name={workspace.app.name} />
            ) : (
              <>
                <Timeline key={channel} channel={channel} messages={messages} sent={sent.channel} label={`Messages in ${title}`} openThread={panel?.kind === "thread" ? panel.ts : null} highlight={state.highlight} onThread={openThread} onDismiss={dismiss}>
                  {(state.loaded[channel] || messages.length > 0) && <Welcome workspace={workspace} place={place} title={title} isEmpty={messages.length === 0} onTry={(line) => { document.querySelector("#composer textarea")?.focus(); return say(line); }} />}
                </Timeline>
                <div id="composer">
                  {notice && <p className="banner" role="alert">⚠ {notice}</p>}
                  {place?.is_archived ? <p className="banner">This channel is archived: no one can post here.</p> : (
                    <Composer key={`${me}/${channel}`} workspace={workspace} place={place} label={`Message ${title}`} onSend={(line) => say(line)} autoFocus={!state.drawer && matchMedia("(hover: hover)").matches} />
                  )}
                </div>
              </>
            )}
          </main>
          {panel?.kind === "thread" && (
            <aside className="panel" aria-label="Thread">
              <header className="panel-header">
                <h2>Thread <small>{title}</small></h2>
                <button type="button" className="tool" onClick={() => dispatch({ type: "panel", panel: null })} aria-label="Close thread">✕</button>
              </header>
              <Timeline key={panel.ts} channel={channel} messages={threadOf(state, channel, panel.ts)} sent={sent.thread} label="Messages in this thread" inThread highlight={state.highlight} onDismiss={dismiss} />
              <Composer key={`${me}/${panel.ts}`} workspace={workspace} place={place} label="Reply…" isThread onSend={(line) => say(line, panel.ts)} autoFocus />
            </aside>
          )}
          {panel?.kind === "inspector" && <Inspector log={state.log} workspace={workspace} onClose={() => dispatch({ type: "panel", panel: null })} />}
        </div>
        {state.views.length > 0 && <Modal views={state.views} />}
        {announcer}
      </Me.Provider>
    </Surroundings.Provider>
  );
}

function Welcome({ workspace, place, title, isEmpty, onTry }) {
  const takesCommands = place?.members.includes(workspace.app.bot_user_id) && !place.is_archived;
  return (
    <section className={isEmpty ? "welcome" : "welcome welcome-small"}>
      <h2>{place?.is_im ? `This is your conversation with ${workspace.app.name}` : `Welcome to ${title}`}</h2>
      <p>{presence(workspace, place)} {takesCommands && isEmpty && "Try one of these, or type / to see every command."}</p>
      {takesCommands && isEmpty && (
        <ul className="first-commands">
          {workspace.first_commands.map((line) => (
            <li key={line}>
              <button type="button" onClick={() => onTry(line)}><code>{line}</code><span aria-hidden="true">↵</span></button>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

/** What the app hears in this place: "listens here" only where Slack delivers messages to it. */
function presence(workspace, place) {
  const { name, bot_user_id } = workspace.app;
  if (!place?.members.includes(bot_user_id)) return `${name} is not a member of this channel.`;
  if (place.is_archived) return "This channel is archived.";
  if (workspace.transport === "none") return `${name} is not connected.`;
  if (!workspace.events.includes(place.is_im ? "message.im" : "app_mention")) return `${name} takes commands here but does not read messages.`;
  return `${name} listens here.`;
}

/** Escape closes the side panel; Alt with the arrows walks the channels; letters go to the composer. */
function useShortcuts(dispatch, now) {
  useEffect(() => {
    const onKey = (event) => {
      const { workspace, me, channel, panel, views } = now.current;
      if (!workspace || views.length) return;
      if (event.key === "Escape" && panel && !event.defaultPrevented && !document.querySelector("dialog[open]")) {
        dispatch({ type: "panel", panel: null });
        document.querySelector("#composer textarea")?.focus();
      } else if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
        const places = workspace.channels.filter((place) => place.members.includes(me)).map((place) => place.id);
        const at = places.indexOf(channel);
        dispatch({ type: "go", channel: places[(at + (event.key === "ArrowDown" ? 1 : -1) + places.length) % places.length] });
        event.preventDefault();
      } else if (event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey && !event.altKey && document.activeElement.matches("body, .timeline, article, main")) {
        // Typing with nothing else in hand goes to the composer, as in Slack.
        document.querySelector("#composer textarea")?.focus();
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [dispatch, now]);
}

/** Where a link such as /archives/C0RELEASES/p1700000000000100 leads. */
function arrival() {
  const place = permalink(location.href);
  if (!place) return {};
  return { channel: place.channel, highlight: place.ts, panel: place.thread ? { kind: "thread", ts: place.thread } : null };
}

