// Every call of the app and every payload sent to it, sizes beside limits; and faults on demand.
import { memo, useEffect, useRef, useState } from "react";
import { get, post } from "./api.js";

export function Inspector({ log, workspace, onClose }) {
  const [wanted, setWanted] = useState("");
  const [direction, setDirection] = useState("all");
  const list = useRef(null);
  const shown = log.filter((entry) => (direction === "all" || (direction === "in") === (entry.kind === "delivery")) && (!wanted || JSON.stringify([entry.name, entry.error, entry.problem]).toLowerCase().includes(wanted.toLowerCase())));
  useEffect(() => {
    const box = list.current;
    if (box.scrollHeight - box.scrollTop - box.clientHeight < 160) box.scrollTop = box.scrollHeight;
  }, [shown.length]);
  return (
    <aside className="panel" aria-label="Inspector">
      <header className="panel-header">
        <h2>Inspector</h2>
        <button type="button" className="tool" onClick={onClose} aria-label="Close inspector">✕</button>
      </header>
      <div className="inspector-filter">
        <input className="field" type="search" placeholder="Filter by name or error" aria-label="Filter by name or error" value={wanted} onChange={(event) => setWanted(event.target.value)} />
        <select className="field" aria-label="Direction" value={direction} onChange={(event) => setDirection(event.target.value)}>
          <option value="all">Both ways</option>
          <option value="in">To the app</option>
          <option value="out">From the app</option>
        </select>
      </div>
      <div className="inspector-list" ref={list} tabIndex={0} role="region" aria-label="Calls and payloads">
        {shown.length === 0 && <p className="quiet inspector-empty">Nothing yet. Type a command to see what Slack sends and what the app calls.</p>}
        {shown.map((entry) => <Entry key={entry.id} entry={entry} />)}
      </div>
      <FaultForm workspace={workspace} />
    </aside>
  );
}

const Entry = memo(function Entry({ entry }) {
  const toApp = entry.kind === "delivery";
  const failed = toApp ? Boolean(entry.problem) : !entry.ok;
  const time = new Date(entry.at * 1000);
  const tight = (entry.measures ?? []).some((measure) => measure.limit && measure.size > measure.limit * 0.8);
  return (
    <details className={failed ? "entry entry-failed" : "entry"}>
      <summary>
        <span className={toApp ? "way way-in" : "way"} title={toApp ? "Slack → app" : "app → Slack"}><span className="visually-hidden">{toApp ? "Slack to app" : "app to Slack"}</span><span aria-hidden="true">{toApp ? "→" : "←"}</span></span>
        <span className="entry-name">{entry.name}</span>
        {tight && <span title="Near a limit">▲</span>}
        <span className="entry-result">{failed ? entry.problem || entry.error || entry.status : "ok"}</span>
        <span className="entry-time">{entry.duration_ms < 10 ? entry.duration_ms.toFixed(1) : Math.round(entry.duration_ms)} ms</span>
      </summary>
      <div className="entry-body">
        <p className="quiet">{time.toLocaleTimeString()} · {toApp ? `${entry.transport}, answered ${entry.status || "nothing"}` : `HTTP ${entry.status}`}{entry.fault ? ` · fault: ${entry.fault}` : ""}{entry.retry ? ` · retry ${entry.retry.number} (${entry.retry.reason})` : ""}</p>
        {entry.measures?.length > 0 && (
          <ul className="measures">
            {entry.measures.map((measure) => (
              <li key={measure.what}>
                <span>{measure.what}</span>
                {measure.limit ? <meter max={measure.limit} value={Math.min(measure.size, measure.limit)} high={measure.limit * 0.8} aria-label={measure.what} /> : <span />}
                <span>{measure.size.toLocaleString()}{measure.limit ? ` / ${measure.limit.toLocaleString()}` : ""}</span>
              </li>
            ))}
          </ul>
        )}
        <h3>Sent</h3>
        <pre tabIndex={0}>{JSON.stringify(entry.request, null, 2)}</pre>
        <h3>Answered</h3>
        <pre tabIndex={0}>{typeof entry.response === "string" ? entry.response || "(empty)" : JSON.stringify(entry.response, null, 2)}</pre>
      </div>
    </details>
  );
});

const KINDS = { rate_limited: "429 rate limited", slow: "slow answer", server_error: "503 server error", lost_reply: "reply lost after posting", lost_request: "request lost", garbled: "garbled answer" };

function FaultForm() {
  const [faults, setFaults] = useState([]);
  const [kind, setKind] = useState("rate_limited");
  const [method, setMethod] = useState("chat.update");
  const [times, setTimes] = useState(1);
  const [seconds, setSeconds] = useState(3);
  useEffect(() => {
    const load = () => get("faults").then((answer) => setFaults(answer.faults ?? []));
    load();
    const timer = setInterval(load, 3000);
    return () => clearInterval(timer);
  }, []);
  const add = async (event) => {
    event.preventDefault();
    const answer = await post("faults", { kind, method, times: Number(times), seconds: Number(seconds) });
    if (answer.ok) setFaults(answer.faults);
  };
  return (
    <form className="faults" onSubmit={add}>
      <h3>Faults on demand</h3>
      <div className="fault-row">
        <select className="field" aria-label="Kind of fault" value={kind} onChange={(event) => setKind(event.target.value)}>
          {Object.entries(KINDS).map(([value, text]) => <option key={value} value={value}>{text}</option>)}
        </select>
        <select className="field" aria-label="Method" value={method} onChange={(event) => setMethod(event.target.value)}>
          {["*", "chat.postMessage", "chat.update", "chat.postEphemeral", "views.open", "views.update", "users.info", "auth.test"].map((name) => <option key={name} value={name}>{name === "*" ? "any method" : name}</option>)}
        </select>
      </div>
      <div className="fault-row">
        <label>next <input className="field" type="number" min="1" max="999" value={times} onChange={(event) => setTimes(event.target.value)} /> calls</label>
        <label><input className="field" type="number" min="0" max="120" value={seconds} onChange={(event) => setSeconds(event.target.value)} /> seconds</label>
        <button type="submit" className="button">Add</button>
        {faults.length > 0 && <button type="button" className="button" onClick={() => post("faults", { clear: true }).then((answer) => setFaults(answer.faults))}>Clear</button>}
      </div>
      {faults.length > 0 && <ul className="fault-list">{faults.map((fault, index) => <li key={index}>{KINDS[fault.kind] ?? fault.kind} · {fault.method} · {fault.times < 0 ? "always" : `${fault.times} left`}</li>)}</ul>}
    </form>
  );
}
