import { useEffect, useState } from "react";

const ORDER = ["system", "light", "dark"];
const dark = matchMedia("(prefers-color-scheme: dark)");

/** [the theme in force, the setting, a function to go to the next setting]. */
export function useTheme() {
  const [setting, setSetting] = useState(() => localStorage.getItem("theme") ?? "system");
  const [system, setSystem] = useState(dark.matches ? "dark" : "light");
  useEffect(() => {
    const follow = () => setSystem(dark.matches ? "dark" : "light");
    dark.addEventListener("change", follow);
    return () => dark.removeEventListener("change", follow);
  }, []);
  const theme = setting === "system" ? system : setting;
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
  }, [theme]);
  const next = () => {
    const following = ORDER[(ORDER.indexOf(setting) + 1) % ORDER.length];
    localStorage.setItem("theme", following);
    setSetting(following);
  };
  return [theme, setting, next];
}
