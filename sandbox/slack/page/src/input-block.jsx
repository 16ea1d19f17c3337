// An input of a modal: label, element, hint, and the error that the app or Slack found.
import { useId } from "react";
import { Element } from "./elements.jsx";

export function InputBlock({ block, surface }) {
  const label = useId();
  const hint = useId();
  const error = useId();
  const problem = surface.errors?.[block.block_id];
  const described = [block.hint && hint, problem && error].filter(Boolean).join(" ") || undefined;
  // In an input block only dispatch_action tells the app of each change; the rest is sent on submit.
  const inner = { ...surface, act: block.dispatch_action ? surface.act : (where, element, value) => surface.set(where, element, value) };
  return (
    <div className={problem ? "input-block input-block-error" : "input-block"} data-block-id={block.block_id}>
      <div className="input-label" id={label}>
        {block.label.text}
        {block.optional && <span className="optional"> (optional)</span>}
      </div>
      <Element block={block} element={block.element} surface={inner} labelledBy={label} describedBy={described} invalid={Boolean(problem)} />
      {problem && <p className="input-error" id={error} role="alert">{problem}</p>}
      {block.hint && <p className="input-hint" id={hint}>{block.hint.text}</p>}
    </div>
  );
}
