// The list of messages: grouped by day and author, at the bottom unless the reader scrolled up.
import { useCallback, useContext, useLayoutEffect, useRef, useState } from "react";
import { Surroundings } from "./blocks.jsx";
import { dayOf } from "./dates.jsx";
import { Message } from "./message.jsx";

const GROUPED_WITHIN = 300;

const AT_NEWEST = 48; // pixels from the end that still count as the end

export function Timeline({ channel, messages, sent, label, inThread, openThread, highlight, onThread, onDismiss, children }) {
  const scroller = useRef(null);
  const content = useRef(null);
  const { onScroll, fresh, toNewest } = useNewest(scroller, content, { channel, messages, sent, highlight });
  const { workspace } = useContext(Surroundings);

  // The arrow keys move from message to message, as in Slack.
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
    <div className="timeline-frame">
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
      {fresh > 0 && (
        <button type="button" className="new-messages" onClick={toNewest}>
          {fresh} new {fresh === 1 ? "message" : "messages"} <span aria-hidden="true">↓</span>
        </button>
      )}
    </div>
  );
}

/** Keeps the newest message in view unless the person scrolled up; then counts what is new.
 *
 * The event of a scroll comes a frame late, when the content may have grown again, so a distance from the end says nothing about
 * the person: only a position above the last one does. */
function useNewest(scroller, content, { channel, messages, sent, highlight }) {
  const isPinned = useRef(true);
  const lastTop = useRef(0);
  const [fresh, setFresh] = useState(0);
  const stick = useCallback(() => {
    const box = scroller.current;
    if (isPinned.current) box.scrollTop = box.scrollHeight;
    lastTop.current = box.scrollTop;
  }, [scroller]);
  const toNewest = useCallback(() => {
    isPinned.current = true;
    setFresh(0);
    stick();
    scroller.current.focus({ preventScroll: true });
  }, [scroller, stick]);
  const onScroll = useCallback(() => {
    const box = scroller.current;
    if (box.scrollHeight - box.scrollTop - box.clientHeight < AT_NEWEST) {
      isPinned.current = true;
      setFresh(0);
    } else if (box.scrollTop < lastTop.current) isPinned.current = false;
    lastTop.current = box.scrollTop;
  }, [scroller]);

  useLayoutEffect(() => {
    isPinned.current = !highlight;
    const watcher = new ResizeObserver(stick);
    watcher.observe(content.current);
    watcher.observe(scroller.current);
    stick();
    return () => watcher.disconnect();
  }, [channel, highlight, scroller, content, stick]);
  const sentBefore = useRef(sent);
  useLayoutEffect(() => {
    if (sent === sentBefore.current) return;
    sentBefore.current = sent;
    isPinned.current = true;
    setFresh(0);
    stick();
  }, [sent, stick]);

  const newest = messages.at(-1)?.ts;
  const known = useRef(newest);
  useLayoutEffect(() => {
    const before = known.current;
    known.current = newest;
    if (before && newest > before && !isPinned.current) setFresh((count) => count + messages.filter((message) => message.ts > before).length);
  }, [newest]);
  return { onScroll, fresh, toNewest };
}

const author = (message) => message.bot_id ?? message.user;
