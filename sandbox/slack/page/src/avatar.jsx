import { memo } from "react";

const COLOURS = ["#0f766e", "#9333ea", "#b45309", "#1d4ed8", "#be185d", "#4d7c0f", "#b91c1c", "#475569"];

export const Avatar = memo(function Avatar({ person, small }) {
  const name = person.real_name ?? person.id ?? "?";
  const words = name.split(/[\s-]+/);
  const initials = (words[0][0] + (words[1]?.[0] ?? "")).toUpperCase();
  const colour = person.is_app ? "#155e75" : COLOURS[[...String(person.id)].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % COLOURS.length];
  return (
    <span className={`avatar${small ? " avatar-small" : ""}${person.is_app ? " avatar-app" : ""}`} style={{ backgroundColor: colour }} aria-hidden="true">
      {person.is_app ? <svg viewBox="0 0 24 24" width="60%" height="60%"><g fill="none" stroke="#fff" strokeWidth="1.8" strokeLinecap="round"><circle cx="12" cy="12" r="6.5" /><circle cx="12" cy="12" r="1.6" fill="#fff" /><path d="M12 2.5v7.9M12 13.6v7.9M2.5 12h7.9M13.6 12h7.9M5.3 5.3l5.6 5.6M13.1 13.1l5.6 5.6M18.7 5.3l-5.6 5.6M10.9 13.1l-5.6 5.6" /></g></svg> : initials}
    </span>
  );
});
