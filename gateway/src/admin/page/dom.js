// Elements. Text is only ever inserted as text: names of channels, users and shards are written by strangers.

export const $ = (id) => document.getElementById(id);

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// An element with attributes (a function among them listens to the event of that name) and children, nodes or texts.
export const element = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

export const drawing = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// Sets a text if it is another one, so that what is selected stays selected and nothing is read out twice.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Gives `parent` a child for each item, in order. Children are kept as long as their key is there, so that the focus stays where it is.
export function each(parent, items, key, create, update) {
  const kept = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const wanted = items.map((item) => {
    const name = String(key(item));
    let child = kept.get(name);
    if (child) kept.delete(name);
    else {
      child = create(item);
      child.dataset.key = name;
    }
    update(child, item);
    return child;
  });
  for (const child of kept.values()) child.remove();
  wanted.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
}

// A cell of a table that is a list of cards on a narrow screen, where it shows its label.
export const cell = (label, attributes = {}, ...children) =>
  element("td", { role: "cell", "data-label": label, ...attributes }, ...children);

// Does `work` while `button` cannot be pressed again.
export async function busy(button, work) {
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  try {
    return await work();
  } finally {
    button.disabled = false;
    button.removeAttribute("aria-busy");
  }
}
