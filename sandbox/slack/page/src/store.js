// The page's state: a reducer over what the server sends and what the person chooses to see.

export const initial = {
  workspace: null,
  me: "U0DEV1",
  channel: "C0RELEASES",
  messages: {}, // by channel, then by ts
  live: {}, // those of them that came by the stream since it was opened
  loaded: {}, // by channel: whether its messages were fetched since then
  isLive: false, // whether the stream of this person is open: what is fetched before misses what comes in between
  unread: {},
  views: [],
  home: null,
  panel: null, // {kind: "thread", ts} or {kind: "inspector"}
  log: [],
  drawer: false,
  connected: true,
  epoch: 0, // grows when everything must be fetched again
  highlight: null,
};

export function reduce(state, action) {
  switch (action.type) {
    case "workspace":
      return { ...state, workspace: action.workspace };
    case "connected":
      return action.connected
        ? { ...state, connected: true, isLive: true, live: {}, loaded: {} }
        : { ...state, connected: false, isLive: false };
    case "be":
      // What everyone in the channel sees stays until it is fetched: drawing it again takes longest.
      return { ...state, me: action.user, channel: action.channel, messages: { [action.channel]: forEveryone(state.messages[action.channel]) },
        live: {}, loaded: {}, isLive: false, unread: {}, views: [], home: null,
        panel: state.panel?.kind === "inspector" ? state.panel : null, drawer: false };
    case "go":
      return { ...state, channel: action.channel, drawer: false, highlight: action.highlight ?? null,
        unread: { ...state.unread, [action.channel]: 0 },
        panel: action.panel !== undefined ? action.panel : state.panel?.kind === "inspector" ? state.panel : null };
    case "panel":
      return { ...state, panel: action.panel };
    case "drawer":
      return { ...state, drawer: action.open };
    case "loaded": {
      if (action.user !== state.me) return state;
      const before = state.messages[action.channel] ?? {};
      const fetched = action.messages.map((message) => [message.ts, unchanged(before[message.ts], message)]);
      // What came by the stream while the answer was under way is newer than the answer.
      const known = { ...Object.fromEntries(fetched), ...state.live[action.channel] };
      return { ...state, messages: { ...state.messages, [action.channel]: known }, loaded: { ...state.loaded, [action.channel]: true } };
    }
    case "message":
    case "message_changed": {
      const { channel, message } = action.content;
      const known = state.messages[channel] ?? {};
      if (message.ephemeral_to && message.ephemeral_to !== state.me) return state;
      const isNew = action.type === "message" && !known[message.ts];
      const elsewhere = isNew && channel !== state.channel && !isReply(message) && message.user !== state.me;
      return {
        ...state,
        messages: { ...state.messages, [channel]: { ...known, [message.ts]: message } },
        live: { ...state.live, [channel]: { ...state.live[channel], [message.ts]: message } },
        unread: elsewhere ? { ...state.unread, [channel]: (state.unread[channel] ?? 0) + 1 } : state.unread,
      };
    }
    case "message_deleted": {
      const { channel, message } = action.content;
      return withoutMessage(state, channel, message.ts);
    }
    case "dismiss":
      return withoutMessage(state, action.channel, action.ts);
    case "views":
      return action.content.user === state.me ? { ...state, views: action.content.views } : state;
    case "home":
      return action.content.user === state.me ? { ...state, home: action.content.view } : state;
    case "log":
      return { ...state, log: [...state.log.slice(-399), action.content] };
    case "old_log":
      return { ...state, log: action.entries };
    case "reset":
      return { ...state, epoch: state.epoch + 1, messages: {}, live: {}, loaded: {}, unread: {}, views: [], home: null, log: [], panel: state.panel?.kind === "inspector" ? state.panel : null };
    default:
      return state;
  }
}

function withoutMessage(state, channel, ts) {
  const { [ts]: _gone, ...rest } = state.messages[channel] ?? {};
  const { [ts]: _goneToo, ...live } = state.live[channel] ?? {};
  const panel = state.panel?.kind === "thread" && state.panel.ts === ts ? null : state.panel;
  return { ...state, messages: { ...state.messages, [channel]: rest }, live: { ...state.live, [channel]: live }, panel };
}

const forEveryone = (messages) =>
  Object.fromEntries(Object.entries(messages ?? {}).filter(([, message]) => !message.is_ephemeral && !message.ephemeral_to));

/** The object that is drawn already, where the fetched one says the same: then nothing is drawn again. */
const unchanged = (before, fetched) => (before && JSON.stringify(before) === JSON.stringify(fetched) ? before : fetched);

export const isReply = (message) => Boolean(message.thread_ts && message.thread_ts !== message.ts);

const byTime = (one, other) => (one.ts < other.ts ? -1 : 1);

export function timeline(state, channel) {
  return Object.values(state.messages[channel] ?? {}).filter((message) => !isReply(message)).sort(byTime);
}

export function threadOf(state, channel, ts) {
  return Object.values(state.messages[channel] ?? {}).filter((message) => message.ts === ts || message.thread_ts === ts).sort(byTime);
}

export const personOf = (workspace, id) => workspace.people.find((person) => person.id === id);

export function authorOf(workspace, message) {
  if (message.bot_id) return { id: workspace.app.bot_user_id, real_name: workspace.app.name, is_app: true };
  if (message.user === "USLACKBOT") return { id: "USLACKBOT", real_name: "Slackbot", is_app: false };
  return personOf(workspace, message.user) ?? { id: message.user, real_name: message.user };
}

/** Top-level text as plain words, for announcements and labels. */
export function plainText(workspace, text) {
  return (text ?? "")
    .replace(/<@([A-Z0-9]+)(?:\|[^>]*)?>/g, (_, id) => `@${personOf(workspace, id)?.real_name ?? id}`)
    .replace(/<#([A-Z0-9]+)(?:\|[^>]*)?>/g, (_, id) => `#${workspace.channels.find((place) => place.id === id)?.name ?? id}`)
    .replace(/<!date\^[^|>]*\|([^>]*)>/g, "$1")
    .replace(/<!subteam\^([A-Z0-9]+)(?:\|[^>]*)?>/g, (_, id) => `@${workspace.groups.find((group) => group.id === id)?.handle ?? id}`)
    .replace(/<!(\w+)>/g, "@$1")
    .replace(/<[^|>]+\|([^>]+)>/g, "$1")
    .replace(/<([^>]+)>/g, "$1")
    .replace(/[*_~`]/g, "")
    .replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}
