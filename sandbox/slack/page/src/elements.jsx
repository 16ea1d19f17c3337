// Interactive elements. Each reports to its surface what the person chose, after a confirm dialog where it has one.
import { useContext, useEffect, useId, useRef, useState } from "react";
import { Surroundings } from "./blocks.jsx";
import { Combobox, MultiCombobox } from "./combobox.jsx";

const plain = (text) => (text?.text ?? "").replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

export function Element({ block, element, surface, describedBy, labelledBy, invalid }) {
  const [asking, setAsking] = useState(null);
  const key = `${block.block_id}/${element.action_id}`;
  const stored = surface.values?.[block.block_id]?.[element.action_id];
  const choose = (value) => {
    const act = () => surface.act(block, element, value);
    if (element.confirm) setAsking({ act });
    else act();
  };
  const common = { element, stored, choose, surface, block, describedBy, labelledBy, invalid, busy: surface.busy === key };
  return (
    <>
      <Kind {...common} />
      {asking && <Confirm confirm={element.confirm} onYes={asking.act} onClose={() => setAsking(null)} />}
    </>
  );
}

function Kind(props) {
  const { element, stored, choose, block, surface, describedBy, labelledBy, invalid, busy } = props;
  const { workspace } = useContext(Surroundings);
  const field = { "aria-describedby": describedBy, "aria-labelledby": labelledBy, "aria-invalid": invalid || undefined };
  const kind = element.type;
  switch (kind) {
    case "button":
      return <Button element={element} busy={busy} choose={choose} />;
    case "icon_button":
      return <Button element={{ ...element, text: element.text ?? { text: element.icon } }} busy={busy} choose={choose} />;
    case "feedback_buttons":
      return [element.positive_button, element.negative_button].map((button, index) => (
        <Button key={index} element={button} busy={busy} choose={() => choose(button.value)} />
      ));
    case "overflow":
      return <Overflow element={element} choose={choose} />;
    case "static_select":
    case "external_select":
      return (
        <Combobox {...field} busy={busy} placeholder={plain(element.placeholder) || "Choose an option"} value={optionOf(stored, element.initial_option)}
          load={kind === "external_select" ? (query) => surface.load(block, element, query) : null} least={element.min_query_length ?? 3}
          options={kind === "static_select" ? allOptions(element) : null} onChange={choose} label={element.accessibility_label} />
      );
    case "users_select":
    case "channels_select":
    case "conversations_select":
      return (
        <Combobox {...field} busy={busy} placeholder={plain(element.placeholder) || "Choose"} options={places(workspace, kind)}
          value={places(workspace, kind).find((option) => option.value === (stored ?? initialOf(element))) ?? null}
          onChange={(option) => choose(option?.value ?? null)} />
      );
    case "multi_static_select":
    case "multi_external_select":
      return (
        <MultiCombobox {...field} placeholder={plain(element.placeholder) || "Choose options"} value={stored ?? element.initial_options ?? []}
          load={kind === "multi_external_select" ? (query) => surface.load(block, element, query) : null} least={element.min_query_length ?? 3}
          options={kind === "multi_static_select" ? allOptions(element) : null} onChange={choose} most={element.max_selected_items} />
      );
    case "multi_users_select":
    case "multi_channels_select":
    case "multi_conversations_select": {
      const options = places(workspace, kind.replace("multi_", ""));
      const chosen = stored ?? element.initial_users ?? element.initial_channels ?? element.initial_conversations ?? [];
      return (
        <MultiCombobox {...field} placeholder={plain(element.placeholder) || "Choose"} options={options} most={element.max_selected_items}
          value={options.filter((option) => chosen.includes(option.value))} onChange={(list) => choose(list.map((option) => option.value))} />
      );
    }
    case "radio_buttons":
      return <Choices {...props} multiple={false} />;
    case "checkboxes":
      return <Choices {...props} multiple />;
    case "datepicker":
      return <input type="date" className="field" {...field} aria-label={labelledBy ? undefined : plain(element.placeholder) || "Date"} value={stored ?? element.initial_date ?? ""} onChange={(event) => choose(event.target.value)} />;
    case "timepicker":
      return <input type="time" className="field" {...field} aria-label={labelledBy ? undefined : plain(element.placeholder) || "Time"} value={stored ?? element.initial_time ?? ""} onChange={(event) => choose(event.target.value)} />;
    case "datetimepicker":
      return <DateTime {...props} field={field} />;
    default:
      return <TextInput {...props} field={field} />;
  }
}

const initialOf = (element) => element.initial_user ?? element.initial_channel ?? element.initial_conversation ?? null;
const optionOf = (stored, initial) => (stored === undefined ? initial ?? null : stored);
const allOptions = (element) => element.options ?? (element.option_groups ?? []).flatMap((group) => group.options.map((option) => ({ ...option, group: plain(group.label) })));

function places(workspace, kind) {
  const option = (value, text) => ({ value, text: { type: "plain_text", text } });
  if (kind === "users_select") return workspace.people.filter((person) => !person.is_bot).map((person) => option(person.id, person.real_name));
  return workspace.channels.filter((place) => !place.is_im).map((place) => option(place.id, `#${place.name}`));
}

function Button({ element, busy, choose }) {
  const style = element.style === "primary" ? " button-primary" : element.style === "danger" ? " button-danger" : "";
  const press = () => {
    if (element.url) window.open(element.url, "_blank", "noopener,noreferrer");
    choose(null);
  };
  return (
    <button type="button" className={`button${style}`} aria-label={element.accessibility_label} aria-busy={busy || undefined}
      aria-disabled={busy || undefined} onClick={() => !busy && press()} data-action-id={element.action_id}>
      <span className="button-text">{emoji(plain(element.text))}</span>
      {busy && <span className="spinner" aria-hidden="true" />}
    </button>
  );
}

const NAMED = { white_check_mark: "✅", x: "❌", warning: "⚠️", rocket: "🚀", arrow_right: "➡️", rewind: "⏪", fast_forward: "⏩", pause_button: "⏸️", double_vertical_bar: "⏸️", arrow_forward: "▶️", stop_button: "⏹️", eyes: "👀", tada: "🎉" };
const emoji = (text) => text.replace(/:([a-z_]+):/g, (whole, name) => NAMED[name] ?? whole);

function Overflow({ element, choose }) {
  const [open, setOpen] = useState(false);
  const menu = useRef(null);
  const opener = useRef(null);
  useEffect(() => {
    if (open) menu.current?.querySelector("button")?.focus();
  }, [open]);
  const leave = () => {
    setOpen(false);
    opener.current?.focus();
  };
  const move = (event) => {
    const items = [...menu.current.querySelectorAll("button")];
    const at = items.indexOf(document.activeElement);
    if (event.key === "ArrowDown") items[(at + 1) % items.length].focus();
    else if (event.key === "ArrowUp") items[(at - 1 + items.length) % items.length].focus();
    else if (event.key === "Escape" || event.key === "Tab") leave();
    else return;
    if (event.key !== "Tab") event.preventDefault();
    event.stopPropagation();
  };
  return (
    <span className="overflow" onBlur={(event) => !event.currentTarget.contains(event.relatedTarget) && setOpen(false)}>
      <button ref={opener} type="button" className="button button-icon" aria-haspopup="menu" aria-expanded={open} aria-label={element.accessibility_label ?? "More actions"} onClick={() => setOpen(!open)}>
        ⋯
      </button>
      {open && (
        <div className="menu" role="menu" ref={menu} onKeyDown={move} tabIndex={-1}>
          {element.options.map((option) => (
            <button key={option.value} type="button" role="menuitem" onClick={() => { leave(); choose(option.value); }}>
              {plain(option.text)}
            </button>
          ))}
        </div>
      )}
    </span>
  );
}

function Choices({ element, stored, choose, multiple, describedBy, labelledBy }) {
  const name = useId();
  const initial = multiple ? element.initial_options ?? [] : element.initial_option ? [element.initial_option] : [];
  const chosen = (stored === undefined ? initial : multiple ? stored ?? [] : stored ? [stored] : []).map((option) => option.value);
  const pick = (option) => {
    if (!multiple) return choose(option);
    const next = element.options.filter((one) => (one.value === option.value ? !chosen.includes(one.value) : chosen.includes(one.value)));
    return choose(next);
  };
  return (
    <div className="choices" role={multiple ? "group" : "radiogroup"} aria-labelledby={labelledBy} aria-describedby={describedBy}>
      {element.options.map((option) => (
        <label key={option.value}>
          <input type={multiple ? "checkbox" : "radio"} name={name} checked={chosen.includes(option.value)} onChange={() => pick(option)} />
          <span>
            {plain(option.text)}
            {option.description && <small>{plain(option.description)}</small>}
          </span>
        </label>
      ))}
    </div>
  );
}

function TextInput({ element, stored, surface, block, field }) {
  const type = { email_text_input: "email", url_text_input: "url", number_input: "number" }[element.type] ?? "text";
  const value = stored ?? (stored === null ? "" : element.initial_value ?? "");
  const on = element.dispatch_action_config?.trigger_actions_on ?? ["on_enter_pressed"];
  const dispatches = block.dispatch_action;
  const change = (event) => {
    surface.set(block, element, event.target.value);
    if (dispatches && on.includes("on_character_entered")) surface.actSoon(block, element, event.target.value);
  };
  const key = (event) => {
    if (event.key !== "Enter" || element.multiline) return;
    if (dispatches && on.includes("on_enter_pressed")) {
      event.preventDefault();
      surface.act(block, element, event.target.value);
    }
  };
  const common = { className: "field", value, onChange: change, onKeyDown: key, placeholder: plain(element.placeholder), maxLength: element.max_length, ...field };
  return element.multiline ? <textarea rows={4} {...common} /> : <input type={type} step={element.is_decimal_allowed ? "any" : undefined} {...common} />;
}

function DateTime({ element, stored, choose, field }) {
  const seconds = stored ?? element.initial_date_time;
  const local = seconds ? new Date(seconds * 1000 - new Date(seconds * 1000).getTimezoneOffset() * 60_000).toISOString().slice(0, 16) : "";
  return <input type="datetime-local" className="field" {...field} value={local} onChange={(event) => choose(event.target.value ? Math.floor(new Date(event.target.value).getTime() / 1000) : null)} />;
}

export function Confirm({ confirm, onYes, onClose }) {
  const dialog = useRef(null);
  const title = useId();
  const text = useId();
  useEffect(() => {
    dialog.current.showModal();
  }, []);
  const finish = (act) => {
    dialog.current.close();
    if (act) onYes();
  };
  return (
    <dialog ref={dialog} className="confirm" aria-labelledby={title} aria-describedby={text} onClose={onClose}>
      <h2 id={title}>{plain(confirm.title)}</h2>
      <p id={text}>{plain(confirm.text).replace(/[*_`]/g, "")}</p>
      <footer>
        <button type="button" className="button" onClick={() => finish(false)}>{plain(confirm.deny)}</button>
        <button type="button" className={`button ${confirm.style === "danger" ? "button-danger-solid" : "button-primary"}`} onClick={() => finish(true)}>
          {plain(confirm.confirm)}
        </button>
      </footer>
    </dialog>
  );
}
