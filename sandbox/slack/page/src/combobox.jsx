// A select one can type into; options are given, or asked of the app while typing.
import { useEffect, useId, useRef, useState } from "react";

const label = (option) => (option?.text?.text ?? "").replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

function useOptions(options, load, least, query, open) {
  const [loaded, setLoaded] = useState({ options: [], state: "" });
  const asked = useRef(0);
  useEffect(() => {
    if (!load || !open) return undefined;
    if (query.length < least) {
      setLoaded({ options: [], state: `Type ${least - query.length} more character${least - query.length === 1 ? "" : "s"}` });
      return undefined;
    }
    const number = ++asked.current;
    setLoaded((old) => ({ ...old, state: "Loading…" }));
    const timer = setTimeout(async () => {
      const answer = await load(query);
      if (number !== asked.current) return;
      setLoaded({ options: answer.options ?? [], state: answer.ok ? (answer.options?.length ? "" : "No results") : "The app did not answer" });
    }, 150);
    return () => clearTimeout(timer);
  }, [load === null, query, open, least]);
  if (load) return [loaded.options, loaded.state];
  const wanted = query.toLowerCase();
  const found = options.filter((option) => label(option).toLowerCase().includes(wanted));
  return [found, found.length ? "" : "No results"];
}

function Listbox({ id, options, state, at, choose, isChosen }) {
  const list = useRef(null);
  useEffect(() => {
    list.current?.querySelector('[data-at="true"]')?.scrollIntoView({ block: "nearest" });
  }, [at]);
  let group;
  return (
    <ul className="listbox" role="listbox" id={id} ref={list} aria-label="Options">
      {state && <li className="listbox-state" role="option" aria-disabled="true" aria-selected="false">{state}</li>}
      {options.map((option, index) => {
        const heading = option.group && option.group !== group ? option.group : null;
        group = option.group;
        return (
          <li key={option.value} id={`${id}-${index}`} role="option" aria-selected={isChosen(option)} data-at={index === at} onMouseDown={(event) => { event.preventDefault(); choose(option); }}>
            {heading && <span className="listbox-heading">{heading}</span>}
            <span>{label(option)}</span>
            {option.description && <small>{label({ text: option.description })}</small>}
          </li>
        );
      })}
    </ul>
  );
}

function useKeys({ open, setOpen, options, at, setAt, choose, setQuery }) {
  return (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) setOpen(true);
      else setAt((at + (event.key === "ArrowDown" ? 1 : -1) + options.length) % Math.max(1, options.length));
    } else if (event.key === "Enter" && open && options[at]) {
      event.preventDefault();
      choose(options[at]);
    } else if (event.key === "Escape" && open) {
      event.preventDefault();
      event.stopPropagation();
      setQuery("");
      setOpen(false);
    }
  };
}

export function Combobox({ options, load, least = 0, value, onChange, placeholder, busy, label: name, ...field }) {
  const id = useId();
  const [open, setOpen] = useState(false);
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const [found, state] = useOptions(options, load, least, query, open);
  useEffect(() => setAt(0), [query, open]);
  const choose = (option) => {
    setOpen(false);
    setQuery("");
    onChange(option);
  };
  const keys = useKeys({ open, setOpen, options: found, at, setAt, choose, setQuery });
  return (
    <span className="combobox" aria-busy={busy || undefined}>
      <input className="field" role="combobox" aria-expanded={open} aria-controls={open ? id : undefined} aria-autocomplete="list" autoComplete="off"
        aria-activedescendant={open && found[at] ? `${id}-${at}` : undefined} placeholder={value ? label(value) : placeholder}
        aria-label={field["aria-labelledby"] ? undefined : name ?? placeholder} {...field}
        value={open ? query : label(value)} onChange={(event) => { setOpen(true); setQuery(event.target.value); }} onClick={() => setOpen(true)}
        onKeyDown={keys} onBlur={() => { setOpen(false); setQuery(""); }} />
      <span className="chevron" aria-hidden="true" />
      {open && <Listbox id={id} options={found} state={state} at={at} choose={choose} isChosen={(option) => option.value === value?.value} />}
    </span>
  );
}

export function MultiCombobox({ options, load, least = 0, value, onChange, placeholder, most, ...field }) {
  const id = useId();
  const [open, setOpen] = useState(false);
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const [found, state] = useOptions(options, load, least, query, open);
  const has = (option) => value.some((one) => one.value === option.value);
  const toggle = (option) => {
    setQuery("");
    if (has(option)) onChange(value.filter((one) => one.value !== option.value));
    else if (!most || value.length < most) onChange([...value, option]);
  };
  const keys = useKeys({ open, setOpen, options: found, at, setAt, choose: toggle, setQuery });
  return (
    <span className="combobox">
      {value.length > 0 && (
        <span className="chips">
          {value.map((option) => (
            <button key={option.value} type="button" className="chip" aria-label={`Remove ${label(option)}`} onClick={() => toggle(option)}>
              {label(option)} <span aria-hidden="true">✕</span>
            </button>
          ))}
        </span>
      )}
      <input className="field" role="combobox" aria-expanded={open} aria-controls={open ? id : undefined} aria-autocomplete="list" autoComplete="off"
        aria-activedescendant={open && found[at] ? `${id}-${at}` : undefined} placeholder={placeholder} aria-label={field["aria-labelledby"] ? undefined : placeholder}
        {...field} value={query} onChange={(event) => { setOpen(true); setQuery(event.target.value); }} onClick={() => setOpen(true)} onKeyDown={keys}
        onBlur={() => { setOpen(false); setQuery(""); }} />
      {open && <Listbox id={id} options={found} state={state} at={at} choose={toggle} isChosen={has} />}
    </span>
  );
}
