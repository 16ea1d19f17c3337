import "slack-blocks-to-jsx/dist/style.css";
import "./base.css";
import "./chat.css";
import "./panels.css";
import { createRoot } from "react-dom/client";
import { App } from "./app.jsx";

createRoot(document.getElementById("root")).render(<App />);
