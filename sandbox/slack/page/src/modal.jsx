// The modal on top of a person's stack, and the home tab: views share their inputs' behaviour.
import { useCallback, useContext, useEffect, useId, useMemo, useRef, useState } from "react";
import { post } from "./api.js";
import { Blocks, Me } from "./blocks.jsx";
import { problemText } from "./problems.js";

/** What stands in a view's inputs, in the page's own form: strings, options, lists. */
function entered(view) {
  const values = {};
  for (const [blockId, actions] of Object.entries(view.state?.values ?? {}))
    for (const [actionId, { type: _type, ...rest }] of Object.entries(actions)) (values[blockId] ??= {})[actionId] = Object.values(rest)[0];
  return values;
}

export function useViewSurface(view) {
  const me = useContext(Me);
  const [typed, setTyped] = useState({});
  const [busy, setBusy] = useState(null);
  const [problem, setProblem] = useState(null);
  const [errors, setErrors] = useState({});
  const soon = useRef(null);
  const latest = useRef({});
  useEffect(() => {
    setTyped({});
    setErrors({});
    setProblem(null);
  }, [view?.id]);
  const values = useMemo(() => {
    const all = view ? entered(view) : {};
    for (const [blockId, actions] of Object.entries(typed)) if (all[blockId]) all[blockId] = { ...all[blockId], ...actions };
    return all;
  }, [view, typed]);
  latest.current = values;

  const set = useCallback((block, element, value) => {
    setTyped((old) => ({ ...old, [block.block_id]: { ...old[block.block_id], [element.action_id]: value } }));
    setErrors(({ [block.block_id]: _gone, ...rest }) => rest);
  }, []);
  const act = useCallback(async (block, element, value) => {
    if (element.type !== "button") set(block, element, value);
    setBusy(`${block.block_id}/${element.action_id}`);
    setProblem(null);
    const all = { ...latest.current };
    if (element.type !== "button") all[block.block_id] = { ...all[block.block_id], [element.action_id]: value };
    const answer = await post("click", { user: me, view_id: view.id, block_id: block.block_id, action_id: element.action_id, value, values: all });
    setBusy(null);
    if (!answer.ok) setProblem(problemText(answer));
  }, [me, view?.id, set]);
  const actSoon = useCallback((block, element, value) => {
    clearTimeout(soon.current);
    soon.current = setTimeout(() => act(block, element, value), 300);
  }, [act]);
  const load = useCallback((block, element, query) => post("options", { user: me, view_id: view.id, block_id: block.block_id, action_id: element.action_id, query }), [me, view?.id]);
  return { surface: { act, actSoon, set, load, values, busy, errors }, problem, setProblem, setErrors };
}

export function Modal({ views }) {
  const me = useContext(Me);
  const view = views.at(-1);
  const dialog = useRef(null);
  const title = useId();
  const { surface, problem, setProblem, setErrors } = useViewSurface(view);
  const [sending, setSending] = useState(false);
  const returnTo = useRef(null);

  useEffect(() => {
    returnTo.current = document.activeElement;
    dialog.current.showModal();
    return () => returnTo.current?.isConnected && returnTo.current.focus?.({ preventScroll: true });
  }, []);
  useEffect(() => {
    dialog.current.querySelector(".modal-body input, .modal-body textarea, .modal-body button")?.focus();
  }, [view.id]);

  const close = () => post("close", { user: me, all: view.clear_on_close });
  const submit = async (event) => {
    event.preventDefault();
    if (sending) return;
    setSending(true);
    setProblem(null);
    const answer = await post("submit", { user: me, view_id: view.id, values: surface.values });
    setSending(false);
    if (answer.ok) return;
    setErrors(answer.errors ?? {});
    if (!answer.errors) setProblem(problemText(answer));
    const first = Object.keys(answer.errors ?? {})[0];
    if (first) requestAnimationFrame(() => dialog.current?.querySelector(`[data-block-id="${CSS.escape(first)}"] :is(input, textarea)`)?.focus());
  };
  return (
    <dialog ref={dialog} className="modal" aria-labelledby={title} onCancel={(event) => { event.preventDefault(); if (event.target === dialog.current) close(); }}>
      <form onSubmit={submit} noValidate>
        <header>
          <h2 id={title}>{view.title.text}</h2>
          <button type="button" className="tool" onClick={close} aria-label="Close dialog">✕</button>
        </header>
        <div className="modal-body">
          <Blocks blocks={view.blocks} surface={surface} />
          {problem && <p className="message-problem" role="alert">⚠ {problem}</p>}
        </div>
        <footer>
          <button type="button" className="button" onClick={close}>{view.close?.text ?? (views.length > 1 ? "Back" : "Cancel")}</button>
          {view.submit && (
            <button type="submit" className="button button-primary" aria-busy={sending || undefined}>
              {view.submit.text}
              {sending && <span className="spinner" aria-hidden="true" />}
            </button>
          )}
        </footer>
      </form>
    </dialog>
  );
}

export function Home({ view, name }) {
  const { surface, problem } = useViewSurface(view);
  return (
    <div className="home" tabIndex={0} role="region" aria-label={`Home of ${name}`}>
      <div className="home-content">
        {view ? <Blocks blocks={view.blocks} surface={surface} /> : <p className="quiet">{name} has not published a home tab yet.</p>}
        {problem && <p className="message-problem" role="alert">⚠ {problem}</p>}
      </div>
    </div>
  );
}
