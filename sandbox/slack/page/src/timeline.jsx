// The list of messages: grouped by day and author, at the bottom unless the reader scrolled up.
import { useCallback, useContext, useLayoutEffect, useRef } from "react";
import { Surroundings } from "./blocks.jsx";
import { dayOf } from "./dates.jsx";
import { Message } from "./message.jsx";

const GROUPED_WITHIN = 300;

export function Timeline({ channel, messages, label, inThread, openThread, highlight, onThread, onDismiss, children }) {
  const scroller = useRef(null);
  const content = useRef(null);
  const atBottom = useRef(true);
  const { workspace } = useContext(Surroundings);

  useLayoutEffect(() => {
    atBottom.current = true;
    const box = scroller.current;
    const stick = () => {
      if (atBottom.current) box.scrollTop = box.scrollHeight;
    };
    const watcher = new ResizeObserver(stick);
    watcher.observe(content.current);
    watcher.observe(box);
    stick();
    return () => watcher.disconnect();
  }, [channel]);
  const onScroll = () => {
    const box = scroller.current;
    atBottom.current = box.scrollHeight - box.scrollTop - box.clientHeight < 48;
  };
  // With the arrow keys one walks from message to message, as in Slack.
  const walk = useCallback((event) => {
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    const current = document.activeElement;
    if (current !== scroller.current && !current.matches?.("article.message")) return;
    const all = [...content.current.querySelectorAll("article.message")];
    const at = all.indexOf(current);
    const next = at < 0 ? all.at(-1) : all[at + (event.key === "ArrowDown" ? 1 : -1)];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  }, []);

  let previous;
  return (
    <div className="timeline" ref={scroller} onScroll={onScroll} tabIndex={0} role="region" aria-label={label} onKeyDown={walk}>
      <div className="timeline-content" ref={content}>
        {children}
        {messages.map((message) => {
          const day = inThread ? null : dayOf(message.ts);
          const newDay = day && day !== (previous && dayOf(previous.ts));
          const same = previous && !newDay && author(previous) === author(message) && !message.is_ephemeral && !previous.is_ephemeral
            && !previous.reply_count && !message.blocks?.length && !previous.blocks?.length && message.ts - previous.ts < GROUPED_WITHIN && workspace;
          previous = message;
          return [
            newDay && <div className="day" key={`day-${message.ts}`}><span>{day}</span></div>,
            <Message key={message.ts} channel={channel} message={message} compact={Boolean(same)} inThread={inThread} onThread={onThread}
              onDismiss={onDismiss} isHighlighted={highlight === message.ts} isOpenThread={openThread === message.ts} />,
          ];
        })}
      </div>
    </div>
  );
}

const author = (message) => message.bot_id ?? message.user;
