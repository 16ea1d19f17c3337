// The composer: lines and slash commands, with hints from the installed manifest and completions for mentions.
import { useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "react";

export function Composer({ workspace, place, onSend, label, autoFocus, isThread }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const [hidden, setHidden] = useState(false);
  const [sending, setSending] = useState(false);
  const past = useRef({ lines: [], at: 0 });
  const box = useRef(null);
  const list = useId();
  const hint = useId();

  const suggestions = useMemo(() => (hidden ? [] : suggest(workspace, text, isThread)), [workspace, text, hidden, isThread]);
  const usage = useMemo(() => usageOf(workspace, text), [workspace, text]);
  const open = suggestions.length > 0;
  useEffect(() => setAt(0), [text]);
  useEffect(() => {
    if (autoFocus) box.current.focus();
  }, [autoFocus]);
  useLayoutEffect(() => {
    box.current.style.height = "auto";
    box.current.style.height = `${Math.min(180, box.current.scrollHeight)}px`;
  }, [text]);

  const change = (value) => {
    setHidden(false);
    setText(value);
  };
  const complete = (suggestion) => {
    change(suggestion.completed);
    setHidden(suggestion.completed === text);
    box.current.focus();
  };
  const send = async () => {
    const line = text.trim();
    if (!line || sending) return;
    past.current.lines = [...past.current.lines.filter((old) => old !== line), line].slice(-50);
    past.current.at = past.current.lines.length;
    setText("");
    setSending(true);
    const kept = await onSend(line);
    setSending(false);
    if (kept === false) setText(line);
  };
  const recall = (step) => {
    const { lines } = past.current;
    const next = Math.max(0, Math.min(lines.length, past.current.at + step));
    past.current.at = next;
    setHidden(true);
    setText(lines[next] ?? "");
  };
  const keys = (event) => {
    if (event.nativeEvent.isComposing) return;
    const { key } = event;
    if (open && (key === "ArrowDown" || key === "ArrowUp")) {
      event.preventDefault();
      setAt((at + (key === "ArrowDown" ? 1 : -1) + suggestions.length) % suggestions.length);
    } else if (open && (key === "Tab" || (key === "Enter" && suggestions[at].completed.trim() !== text.trim()))) {
      event.preventDefault();
      complete(suggestions[at]);
    } else if (key === "Escape" && open) {
      event.preventDefault();
      event.stopPropagation();
      setHidden(true);
    } else if (key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      send();
    } else if (key === "ArrowUp" && (text === "" || past.current.lines.includes(text))) {
      event.preventDefault();
      recall(-1);
    } else if (key === "ArrowDown" && text !== "" && past.current.lines.includes(text)) {
      event.preventDefault();
      recall(1);
    }
  };

  return (
    <form className="composer" onSubmit={(event) => { event.preventDefault(); send(); }}>
      {open && (
        <ul className="suggestions" role="listbox" id={list} aria-label="Suggestions">
          {suggestions.map((suggestion, index) => (
            <li key={suggestion.key} id={`${list}-${index}`} role="option" aria-selected={index === at} onMouseDown={(event) => { event.preventDefault(); complete(suggestion); }}
              ref={index === at ? (node) => node?.scrollIntoView({ block: "nearest" }) : undefined}>
              <span className="suggestion-name">{suggestion.name}</span>
              {suggestion.hint && <code>{suggestion.hint}</code>}
              {suggestion.description && <small>{suggestion.description}</small>}
            </li>
          ))}
        </ul>
      )}
      <div className="composer-box">
        <textarea ref={box} rows={1} value={text} placeholder={label} aria-label={label} aria-haspopup="listbox" aria-controls={open ? list : undefined}
          aria-autocomplete="list" aria-activedescendant={open ? `${list}-${at}` : undefined} aria-describedby={usage ? hint : undefined}
          disabled={place?.is_archived} onChange={(event) => change(event.target.value)} onKeyDown={keys} spellCheck={false} />
        <button type="submit" className="send" aria-label="Send" disabled={!text.trim() || sending}>
          <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true"><path d="M3 3.5 17.5 10 3 16.5 5 10zM5 10h6" fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinejoin="round" strokeLinecap="round" /></svg>
        </button>
      </div>
      <div className="composer-foot" id={hint}>
        {usage ? <><code>{usage.command} {usage.usage_hint}</code> <span>{usage.description}</span></> : <span className="keys"><kbd>Enter</kbd> sends · <kbd>Shift</kbd>+<kbd>Enter</kbd> new line · <kbd>/</kbd> commands · <kbd>↑</kbd> previous lines</span>}
      </div>
    </form>
  );
}

function suggest(workspace, text, isThread) {
  if (/^\/\S*$/.test(text) && !isThread) {
    return workspace.commands
      .filter((item) => item.command.startsWith(text))
      .map((item) => ({ key: item.command, name: item.command, hint: item.usage_hint, description: item.description, completed: `${item.command} ` }));
  }
  const mention = text.match(/(^|\s)@([\w-]*)$/);
  if (!mention) return [];
  const wanted = mention[2].toLowerCase();
  const names = [
    ...workspace.people.map((person) => ({ key: person.id, handle: person.name, name: person.is_bot ? workspace.app.name : person.real_name, first: person.is_bot })),
    ...workspace.groups.map((group) => ({ key: group.id, handle: group.handle, name: group.name })),
  ];
  return names
    .filter((one) => one.handle.startsWith(wanted) || one.name.toLowerCase().startsWith(wanted))
    .sort((one, other) => Boolean(other.first) - Boolean(one.first))
    .map((one) => ({ key: one.key, name: one.name, description: `@${one.handle}`, completed: `${text.slice(0, text.length - mention[2].length)}${one.handle} ` }));
}

function usageOf(workspace, text) {
  const match = text.match(/^(\/\S+)\s/);
  return match ? workspace.commands.find((item) => item.command === match[1]) : null;
}
