// Slack's date tokens, in the reader's own time zone. `{ago}` counts along.
import { useEffect, useState } from "react";

const DAY = 86_400_000;

function prettyDay(date, now) {
  const days = Math.round((new Date(date).setHours(0, 0, 0, 0) - new Date(now).setHours(0, 0, 0, 0)) / DAY);
  return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days];
}

export function ago(date, now) {
  const seconds = Math.round((date - now) / 1000);
  const size = Math.abs(seconds);
  const [amount, unit] =
    size < 60 ? [seconds, "second"] : size < 3600 ? [Math.trunc(seconds / 60), "minute"] : size < 86400 ? [Math.trunc(seconds / 3600), "hour"] : [Math.trunc(seconds / 86400), "day"];
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(amount, unit);
}

export function formatDate(timestamp, format, now = Date.now()) {
  const date = new Date(Number(timestamp) * 1000);
  const style = (options) => new Intl.DateTimeFormat(undefined, options).format(date);
  const time = style({ hour: "numeric", minute: "2-digit" });
  const plain = {
    date_num: `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`,
    date: style({ year: "numeric", month: "long", day: "numeric" }),
    date_short: style({ year: "numeric", month: "short", day: "numeric" }),
    date_long: style({ weekday: "long", year: "numeric", month: "long", day: "numeric" }),
    date_slash: style({ year: "numeric", month: "2-digit", day: "2-digit" }),
    time,
    time_secs: style({ hour: "numeric", minute: "2-digit", second: "2-digit" }),
    ago: ago(date.getTime(), now),
    day_divider_pretty: prettyDay(date, now) ?? style({ weekday: "long", month: "long", day: "numeric" }),
  };
  const pretty = prettyDay(date, now);
  return format.replace(/\{(\w+)\}/g, (whole, token) => {
    if (token.endsWith("_pretty") && plain[token] === undefined) return pretty ?? plain[token.replace("_pretty", "")] ?? whole;
    return plain[token] ?? whole;
  });
}

export function SlackDate({ timestamp, format, link, fallback }) {
  const counts = format?.includes("{ago}");
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!counts) return undefined;
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [counts]);
  const date = new Date(Number(timestamp) * 1000);
  if (Number.isNaN(date.getTime())) return <span>{fallback}</span>;
  const shown = (
    <time dateTime={date.toISOString()} title={date.toLocaleString()}>
      {formatDate(timestamp, format || "{date_short} {time}", now)}
    </time>
  );
  return link ? <a href={link}>{shown}</a> : shown;
}

export const clock = (ts) => new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" }).format(new Date(Number(ts) * 1000));

export const dayOf = (ts) => formatDate(ts, "{day_divider_pretty}").replace(/^./, (letter) => letter.toUpperCase());
