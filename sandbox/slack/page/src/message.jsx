// One message: who, when, what; edits keep the focus inside it.
import { memo, useCallback, useContext, useLayoutEffect, useMemo, useRef, useState } from "react";
import { post } from "./api.js";
import { Blocks, Mrkdwn, Surroundings } from "./blocks.jsx";
import { clock } from "./dates.jsx";
import { Avatar } from "./avatar.jsx";
import { authorOf, plainText } from "./store.js";
import { problemText } from "./problems.js";

export const Message = memo(function Message({ channel, message, compact, inThread, onThread, onDismiss, isHighlighted, isOpenThread }) {
  const { workspace } = useContext(Surroundings);
  const author = authorOf(workspace, message);
  const article = useRef(null);
  const hadFocus = useRef(false);

  // The pressed button may be gone after an edit: then the message itself takes the focus, not the top of the page.
  useLayoutEffect(() => {
    const inside = article.current.contains(document.activeElement);
    if (hadFocus.current && !inside && document.activeElement === document.body) article.current.focus({ preventScroll: true });
    hadFocus.current = article.current.contains(document.activeElement);
  });
  useLayoutEffect(() => {
    if (isHighlighted) article.current.scrollIntoView({ block: "center" });
  }, [isHighlighted]);

  const name = author.real_name ?? author.id;
  return (
    <article ref={article} tabIndex={-1} data-ts={message.ts} aria-label={`${name}, ${clock(message.ts)}: ${plainText(workspace, message.text).slice(0, 160)}`}
      className={["message", compact && "message-compact", message.is_ephemeral && "message-ephemeral", isHighlighted && "message-highlight", isOpenThread && "message-open"].filter(Boolean).join(" ")}
      onFocus={() => { hadFocus.current = true; }} onBlur={(event) => { if (event.relatedTarget) hadFocus.current = false; }}>
      {compact ? <time className="compact-time" aria-hidden="true">{clock(message.ts)}</time> : <Avatar person={author} />}
      <div className="message-content">
        {message.is_ephemeral && (
          <p className="only-you">
            <span aria-hidden="true">👁</span> Only visible to you
            <button type="button" className="link-button" onClick={() => onDismiss(message.ts)}>Dismiss</button>
          </p>
        )}
        {!compact && (
          <header className="message-header">
            <strong>{name}</strong>
            {author.is_app && <span className="app-badge">APP</span>}
            <time dateTime={new Date(message.ts * 1000).toISOString()} title={new Date(message.ts * 1000).toLocaleString()}>{clock(message.ts)}</time>
          </header>
        )}
        <Body channel={channel} message={message} />
        {message.reactions?.length > 0 && (
          <div className="reactions">
            {message.reactions.map((reaction) => (
              <span key={reaction.name} className="reaction">
                <Mrkdwn text={`:${reaction.name}:`} /> {reaction.count}
              </span>
            ))}
          </div>
        )}
        {!inThread && message.reply_count > 0 && (
          <button type="button" className="thread-summary" onClick={() => onThread(message.ts)}>
            <span className="thread-faces" aria-hidden="true">
              {(message.reply_users ?? []).slice(0, 3).map((id) => <Avatar key={id} person={authorOf(workspace, { user: id, bot_id: id === workspace.app.bot_user_id })} small />)}
            </span>
            {message.reply_count} {message.reply_count === 1 ? "reply" : "replies"}
            <span className="quiet">last at {clock(message.latest_reply)}</span>
          </button>
        )}
      </div>
      {!inThread && !message.is_ephemeral && (
        <div className="message-tools">
          <button type="button" className="tool" onClick={() => onThread(message.ts)} aria-label={`Reply in thread to ${name}, ${clock(message.ts)}`} title="Reply in thread">
            <svg viewBox="0 0 20 20" width="16" height="16" aria-hidden="true"><path d="M3 4h14v9H9l-4 3.5V13H3z" fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinejoin="round" /></svg>
          </button>
        </div>
      )}
    </article>
  );
});

function Body({ channel, message }) {
  const { person } = useContext(Surroundings);
  const [busy, setBusy] = useState(null);
  const [problem, setProblem] = useState(null);
  const act = useCallback(async (block, element, value) => {
    setBusy(`${block.block_id}/${element.action_id}`);
    setProblem(null);
    const answer = await post("click", { user: person.current, channel, message_ts: message.ts, block_id: block.block_id, action_id: element.action_id, value });
    setBusy(null);
    if (!answer.ok) setProblem(problemText(answer));
  }, [person, channel, message.ts]);
  const load = useCallback((block, element, query) => post("options", { user: person.current, channel, message_ts: message.ts, block_id: block.block_id, action_id: element.action_id, query }), [person, channel, message.ts]);
  const surface = useMemo(() => ({ act, load, busy, set: () => {}, actSoon: act }), [act, load, busy]);
  const isTombstone = message.subtype === "tombstone";
  return (
    <div className={isTombstone ? "message-body tombstone" : "message-body"}>
      {message.blocks?.length ? <Blocks blocks={message.blocks} surface={surface} /> : message.text && <Mrkdwn text={message.text} />}
      {message.edited && message.user !== undefined && !message.bot_id && <span className="quiet">(edited)</span>}
      {message.files?.map((file) => (
        <a key={file.id} className="file" href={file.url_private} download>
          <span className="file-icon" aria-hidden="true">📄</span>
          <span>
            <strong>{file.title}</strong>
            <small>{file.name} · {file.size < 2048 ? `${file.size} bytes` : `${Math.round(file.size / 1024)} KB`}</small>
          </span>
        </a>
      ))}
      {problem && <p className="message-problem" role="alert">⚠ {problem}</p>}
    </div>
  );
}
