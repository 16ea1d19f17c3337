// Blocks: what only shows is drawn by slack-blocks-to-jsx; what one can act on is drawn here, because it must talk to the app.
import { createContext, memo, useContext, useMemo } from "react";
import { Message as DisplayBlocks } from "slack-blocks-to-jsx";
import { Chart } from "./chart.jsx";
import { SlackDate } from "./dates.jsx";
import { Element } from "./elements.jsx";
import { InputBlock } from "./input-block.jsx";

/** {workspace, person, theme, go(channel, ts)}: what mentions and links need. `person.current` is whom one acts as: a ref, so that
 * another person does not draw every message again. */
export const Surroundings = createContext(null);
/** Whom one acts as, for what looks different to each person. */
export const Me = createContext(null);

function Mention({ people, children }) {
  return <span className={people.includes(useContext(Me)) ? "mention mention-me" : "mention"}>{children}</span>;
}

export function useDrawing() {
  const { workspace, theme, go } = useContext(Surroundings);
  return useMemo(() => {
    const everyone = workspace.people.map((person) => person.id);
    const mention = (people, children) => <Mention people={people}>{children}</Mention>;
    return {
      theme,
      data: {
        users: workspace.people.map((person) => ({ id: person.id, name: person.real_name })),
        channels: workspace.channels.map((place) => ({ id: place.id, name: place.name })),
        user_groups: workspace.groups.map((group) => ({ id: group.id, name: group.handle })),
      },
      hooks: {
        user: ({ id, name }) => mention([id], `@${workspace.people.find((person) => person.id === id)?.real_name ?? name ?? id}`),
        usergroup: ({ id, name }) => {
          const group = workspace.groups.find((one) => one.id === id);
          return mention(group?.members ?? [], `@${group?.handle ?? name ?? id}`);
        },
        channel: ({ id, name }) => {
          const place = workspace.channels.find((one) => one.id === id);
          return (
            <button type="button" className="mention mention-link" onClick={() => place && go(place.id)}>
              #{place?.name ?? name ?? id}
            </button>
          );
        },
        atHere: () => mention(everyone, "@here"),
        atChannel: () => mention(everyone, "@channel"),
        atEveryone: () => mention(everyone, "@everyone"),
        date: (date) => <SlackDate {...date} />,
        link: ({ href, children }) => <SlackLink href={href} go={go}>{children}</SlackLink>,
      },
    };
  }, [workspace, theme, go]);
}

function SlackLink({ href, children, go }) {
  const place = permalink(href);
  const safe = /^(https?:|mailto:|\/)/i.test(href ?? "") ? href : undefined;
  const open = (event) => {
    if (!place) return;
    event.preventDefault();
    go(place.channel, place.ts, place.thread);
  };
  return (
    <a href={safe} onClick={open} {...(place ? {} : { target: "_blank", rel: "noreferrer noopener" })}>
      {children}
    </a>
  );
}

/** The channel and message of a link to this workspace. */
export function permalink(href) {
  try {
    const url = new URL(href, location.origin);
    const match = url.pathname.match(/^\/archives\/([A-Z0-9]+)(?:\/p(\d+)(\d{6}))?$/);
    if (!match || url.origin !== location.origin) return null;
    return { channel: match[1], ts: match[2] ? `${match[2]}.${match[3]}` : null, thread: url.searchParams.get("thread_ts") };
  } catch {
    return null;
  }
}

export const Mrkdwn = memo(function Mrkdwn({ text, kind = "mrkdwn" }) {
  const drawing = useDrawing();
  const blocks = useMemo(() => [{ type: "section", text: { type: kind, text: text || " " } }], [text, kind]);
  return <DisplayBlocks blocks={blocks} name="" logo="" withoutWrapper {...drawing} />;
});

const isInteractive = (block) =>
  block.type === "actions" || block.type === "context_actions" || block.type === "input" || (block.type === "section" && block.accessory && block.accessory.type !== "image");

/** `surface` says what to do: {act(block, element, value), load(block, element, query), values, set, errors, busy}. */
export function Blocks({ blocks, surface }) {
  const drawing = useDrawing();
  const groups = useMemo(() => grouped(blocks), [blocks]);
  return groups.map((group) =>
    group.chart ? <Chart key={`c${group.at}`} block={group.chart} /> : group.display ? (
      <div key={`d${group.at}`} {...(group.display[0].type === "table" ? { className: "display-blocks display-table", tabIndex: 0, role: "group", "aria-label": "Table" } : { className: "display-blocks" })}>
        <DisplayBlocks blocks={group.display} name="" logo="" withoutWrapper {...drawing} />
      </div>
    ) : (
      <InteractiveBlock key={`i${group.at}`} block={group.block} surface={surface} />
    ),
  );
}

function grouped(blocks) {
  const groups = [];
  blocks.forEach((block, at) => {
    const last = groups.at(-1);
    if (isInteractive(block)) groups.push({ at, block });
    else if (block.type === "data_visualization") groups.push({ at, chart: block });
    else if (last?.display && block.type !== "table" && last.display[0].type !== "table") last.display.push(block);
    else groups.push({ at, display: [block] });
  });
  return groups;
}

function InteractiveBlock({ block, surface }) {
  const drawing = useDrawing();
  const text = useMemo(() => (block.type === "section" ? [{ ...block, accessory: undefined }] : []), [block]);
  switch (block.type) {
    case "section":
      return (
        <div className="section-with-accessory">
          <div className="display-blocks">
            <DisplayBlocks blocks={text} name="" logo="" withoutWrapper {...drawing} />
          </div>
          <Element block={block} element={block.accessory} surface={surface} />
        </div>
      );
    case "input":
      return <InputBlock block={block} surface={surface} />;
    default:
      return (
        <div className="actions" role="group" aria-label="Actions">
          {block.elements.map((element, index) => (
            <Element key={element.action_id ?? index} block={block} element={element} surface={surface} />
          ))}
        </div>
      );
  }
}
