// Announces changes to screen readers; many edits within a second become one announcement.
import { useEffect, useRef, useState } from "react";

export function useAnnouncer(person) {
  const [said, setSaid] = useState("");
  const waiting = useRef(new Map());
  const timer = useRef(null);
  const announce = useRef((key, text) => {
    waiting.current.set(key, text);
    if (timer.current) return;
    timer.current = setTimeout(() => {
      timer.current = null;
      setSaid([...waiting.current.values()].slice(-4).join(". "));
      waiting.current.clear();
    }, 700);
  });
  // What was announced to one person may be private: another one must not hear it.
  useEffect(() => () => {
    clearTimeout(timer.current);
    timer.current = null;
    waiting.current.clear();
    setSaid("");
  }, [person]);
  return [announce.current, <div className="visually-hidden" aria-live="polite" role="status" key="announcer">{said}</div>];
}
