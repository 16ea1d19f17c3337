// Channels, direct messages, the app, and the person to act as.
import { Avatar } from "./avatar.jsx";
import { personOf } from "./store.js";

export function Sidebar({ state, dispatch, onPerson }) {
  const { workspace, me, channel, unread, drawer } = state;
  const mine = workspace.channels.filter((place) => place.members.includes(me));
  const direct = mine.find((place) => place.is_im);
  const go = (id) => dispatch({ type: "go", channel: id });
  const item = (id, content) => (
    <li key={id}>
      <button type="button" className={`place${unread[id] ? " place-unread" : ""}`} aria-current={channel === id ? "page" : undefined} onClick={() => go(id)}>
        {content}
        {unread[id] > 0 && <span className="badge" aria-label={`${unread[id]} new`}>{unread[id]}</span>}
      </button>
    </li>
  );
  return (
    <>
      {drawer && <div className="drawer-shade" onClick={() => dispatch({ type: "drawer", open: false })} />}
      <nav className={`sidebar${drawer ? " sidebar-open" : ""}`} aria-label="Channels" onKeyDown={(event) => event.key === "Escape" && dispatch({ type: "drawer", open: false })}>
        <div className="workspace-name">
          <span className="workspace-mark" aria-hidden="true">L</span>
          <span>
            <strong>{workspace.team.name}</strong>
            <small><span className={`dot dot-${workspace.transport}`} aria-hidden="true" /> {{ http: "App connected over HTTP", socket: "App connected by Socket Mode", none: "No app connected" }[workspace.transport]}</small>
          </span>
        </div>
        <div className="places">
          <h2>Channels</h2>
          <ul>
            {mine.filter((place) => !place.is_im).map((place) => item(place.id, <><span className="hash" aria-hidden="true">{place.is_archived ? "🗄" : place.is_shared ? "◇" : "#"}</span><span className="place-name">{place.name}</span></>))}
          </ul>
          {direct && (
            <>
              <h2>Apps</h2>
              <ul>
                {item("home", <><Avatar person={{ id: workspace.app.bot_user_id, real_name: workspace.app.name, is_app: true }} small /><span className="place-name">{workspace.app.name}<small> home</small></span></>)}
                {item(direct.id, <><span className="hash" aria-hidden="true">✉</span><span className="place-name">Messages</span></>)}
              </ul>
            </>
          )}
        </div>
        <div className="acting">
          <Avatar person={personOf(workspace, me)} />
          <label>
            <small>Acting as</small>
            <select value={me} onChange={(event) => onPerson(event.target.value)}>
              {workspace.people.filter((person) => !person.is_bot).map((person) => <option key={person.id} value={person.id}>{person.real_name}</option>)}
            </select>
          </label>
        </div>
      </nav>
    </>
  );
}
