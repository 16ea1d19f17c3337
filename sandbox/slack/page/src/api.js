// What the page sends: the same control API that tests and tours use.

export async function get(what, query = {}) {
  const kept = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  const response = await fetch(`/_sandbox/${what}?${new URLSearchParams(kept)}`);
  return response.json();
}

export async function post(action, body = {}) {
  try {
    const response = await fetch(`/_sandbox/${action}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    return await response.json();
  } catch {
    return { ok: false, error: "The local Slack does not respond. Is it still running?" };
  }
}

/** Live updates for one person; `onEvent(kind, content)`, and `onState(connected)` when the connection comes or goes. */
export function listen(user, onEvent, onState) {
  const source = new EventSource(`/_sandbox/stream?user=${encodeURIComponent(user)}`);
  const kinds = ["message", "message_changed", "message_deleted", "views", "home", "log", "workspace", "reset"];
  for (const kind of kinds) source.addEventListener(kind, (event) => onEvent(kind, JSON.parse(event.data)));
  source.onopen = () => onState(true);
  source.onerror = () => onState(false);
  return () => source.close();
}
