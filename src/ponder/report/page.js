"use strict";

// All text comes from models: it reaches the page through textContent and nothing else.

const FEW_CHARACTERS = 700;
const FEW_NODES = 24;
const FEW_PROBLEMS = 400;

const byId = (id) => document.getElementById(id);
const parse = (id) => JSON.parse(byId(id).textContent);
const index = parse("index");

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.filter((child) => child !== null));
  return element;
}

function button(className, label, action) {
  const element = make("button", className, label);
  element.type = "button";
  element.addEventListener("click", action);
  return element;
}

const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
const number = (value, digits) => (value === null ? "-" : value.toFixed(digits));

/** Appends the drawn items in portions, a button standing for those not drawn yet. */
function appendSome(parent, items, few, draw) {
  parent.append(...items.slice(0, few).map(draw));
  const rest = items.slice(few);
  if (!rest.length) return;
  const more = button("more", `show ${Math.min(few, rest.length)} of ${rest.length} more`, () => {
    holder.remove();
    appendSome(parent, rest, few, draw);
  });
  const holder = make(parent.tagName === "UL" ? "li" : "div", "", more);
  parent.append(holder);
}

// Verdicts

const verdictClass = (right) => (right === true ? "right" : right === false ? "wrong" : "");
const verdictSign = (right) => (right === true ? "✓" : right === false ? "✗" : "?");
const verdictWord = (right) => (right === true ? "right" : right === false ? "wrong" : "not graded");

function verdict(mark, method) {
  if (mark === null) return make("span", "verdict", make("span", "of", `${method} `), "·");
  const [right, answer] = mark;
  const element = make("span", `verdict ${verdictClass(right)}`, verdictSign(right), make("span", "of", ` ${method}`));
  element.title = `${method}: ${verdictWord(right)}, ${answer || "no answer"}`;
  element.role = "img";
  element.ariaLabel = element.title;
  return element;
}

// Scores

function score(name, value, withName) {
  const label = withName ? `${name} ` : "";
  if (value === null) return make("span", "score score-none", `${label}-`);
  const [low, high] = index.ranges[name] ?? [0, 1];
  const share = high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 1;
  const chip = make("span", `score score-${Math.min(4, Math.floor(share * 5))}`, `${label}${value.toFixed(2)}`);
  chip.title = `${name}: ${value}`;
  return chip;
}

// A node of the tree

const STATES = { won: "chosen", path: "winning path", kept: "kept", pruned: "pruned", failed: "failed", open: "" };
const ENDINGS = { length: "cut at the token limit", step_length: "step cut at its limit", aborted: "aborted" };

function said(node) {
  const name = Object.keys(node.scores)[0];
  const whole = node.steps.reduce((sum, [text]) => sum + text.length, 0);
  const element = make("div", "said");
  const fill = (limit) => {
    let left = limit;
    const pieces = [];
    for (const [text, value] of node.steps) {
      if (left <= 0) break;
      const shown = text.length > left ? `${text.slice(0, left)}…` : text;
      left -= text.length;
      const chip = value === null || left < 0 ? null : score(name, value, false);
      pieces.push(make("div", "piece", shown.replace(/^\n+|\s+$/g, ""), chip));
    }
    element.replaceChildren(...pieces);
  };
  if (whole <= FEW_CHARACTERS) {
    fill(Infinity);
    return [element];
  }
  fill(FEW_CHARACTERS);
  const all = button("more", `show all ${plural(whole, "character")}`, () => {
    fill(Infinity);
    all.remove();
  });
  return [element, all];
}

function place(node, state) {
  const parts = [make("span", "path", node.path), ...Object.entries(node.scores).map(([name, value]) => score(name, value, true))];
  if (STATES[state]) parts.push(make("span", "state", STATES[state]));
  if (node.tokens !== null) parts.push(make("span", "", plural(node.tokens, "token")));
  if (node.cut) parts.push(make("span", "", "cut by the budget"));
  else if (ENDINGS[node.ended]) parts.push(make("span", "", ENDINGS[node.ended]));
  return make("div", "place", ...parts);
}

function result(node) {
  if (node.votes === null) return null;
  if (node.answer === null) return make("p", "result", "ends without an answer: it does not vote");
  const sign = node.right === null ? null : make("b", verdictClass(node.right), ` ${verdictSign(node.right)} ${verdictWord(node.right)}`);
  return make("p", "result", "answer ", make("b", "", node.answer), sign, node.votes ? null : " · does not vote");
}

function below(tree, method, children) {
  const details = make("details", "below", make("summary", "", plural(children.length, "continuation")));
  const list = make("ul", "");
  let drawn = false;
  const draw = () => {
    if (drawn) return;
    drawn = true;
    appendSome(list, children, FEW_NODES, (child) => branch(tree, method, child));
    details.append(list);
  };
  details.addEventListener("toggle", draw);
  if (children.some((child) => ["won", "path"].includes(method.states[child]))) {
    draw();
    details.open = true;
  }
  return details;
}

function branch(tree, method, at) {
  const node = tree.nodes[at];
  const state = method.states[at];
  const element = make("li", `node ${state}`, place(node, state), ...said(node));
  if (node.error !== null) element.append(make("p", "why", `failed: ${node.error}`));
  for (const reason of method.reasons[at] ?? []) element.append(make("p", "why", reason));
  const end = result(node);
  if (end) element.append(end);
  const children = ordered(tree.children.get(at), method);
  if (children.length) element.append(below(tree, method, children));
  return element;
}

/** What won comes first, the others in their own order. */
function ordered(children = [], method) {
  const wins = (child) => (["won", "path"].includes(method.states[child]) ? 0 : 1);
  return [...children].sort((one, other) => wins(one) - wins(other) || one - other);
}

function plant(nodes) {
  const children = new Map();
  nodes.forEach((node, at) => {
    if (!children.has(node.parent)) children.set(node.parent, []);
    children.get(node.parent).push(at);
  });
  return { nodes, children };
}

// One method's search

function votes(method) {
  const list = make("ul", "votes");
  const most = Math.max(...method.votes.map((group) => group.count));
  for (const group of method.votes) {
    const bar = make("span", "bar", make("i", ""));
    bar.style.setProperty("--share", `${(100 * group.count) / most}%`);
    const sign = group.right === null ? "" : ` ${verdictSign(group.right)}`;
    const name = make("span", `said ${group.chosen ? "chosen" : ""}`, group.answer, make("span", verdictClass(group.right), sign));
    list.append(make("li", "", name, bar, make("span", "", `${group.count} of ${plural(method.candidates, "candidate")}`)));
  }
  return list;
}

function search(data, which) {
  const method = data.methods[which];
  const element = make("section", "search", make("h3", "", `How ${index.methods[which]} got there`));
  if (method.votes.length) element.append(votes(method));
  for (const note of method.notes) element.append(make("p", "why", note));
  if (method.ending) element.append(make("p", "why", method.ending));
  if (data.trees === null) {
    element.append(make("p", "absent", "The tree is left out to keep this page small; `ponder show` draws it."));
    return element;
  }
  const tree = plant(data.trees[method.tree]);
  const list = make("ul", "tree");
  appendSome(list, ordered(tree.children.get(null), method), FEW_NODES, (at) => branch(tree, method, at));
  element.append(list);
  return element;
}

// One problem

function heading(scope, content) {
  const element = make("th", "", content);
  element.scope = scope;
  return element;
}

function answers(data, show) {
  const head = ["method", "answer", "graded", "generated tokens", "verifier tokens", "seconds"];
  const body = make("tbody", "");
  data.methods.forEach((method, which) => {
    if (!method) return;
    const pick = button("pick", index.methods[which], () => show(which));
    pick.dataset.which = which;
    body.append(make("tr", "", heading("row", pick),
      make("td", "said", method.answer ?? "no answer"),
      make("td", verdictClass(method.right), `${verdictSign(method.right)} ${verdictWord(method.right)}`),
      make("td", "", number(method.generated, 0)), make("td", "", number(method.verifier, 0)), make("td", "", number(method.seconds, 1))));
  });
  const row = make("tr", "", ...head.map((name) => heading("col", name)));
  return make("div", "wide", make("table", "answers", make("thead", "", row), body));
}

function facts(data) {
  const known = data.reference === null ? "no reference" : "reference ";
  const rest = data.facts.map((fact) => ` · ${fact}`).join("");
  return make("p", "facts", known, data.reference === null ? null : make("b", "", data.reference), rest);
}

function openProblem(body, position) {
  const data = parse(`data-${position}`);
  const drawing = make("div", "");
  const show = (which) => {
    drawing.replaceChildren(search(data, which));
    for (const pick of body.querySelectorAll(".pick")) pick.setAttribute("aria-pressed", String(pick.dataset.which === String(which)));
  };
  body.append(make("p", "question", data.question), facts(data), answers(data, show), drawing);
  const chosen = Number(byId("method").value);
  show(data.methods[chosen] ? chosen : data.methods.findIndex((method) => method));
}

function row({ problem, position }) {
  const marks = problem.marks.map((mark, which) => verdict(mark, index.methods[which]));
  const summary = make("summary", "", make("span", "number", String(position + 1)),
    make("span", "excerpt", problem.question), make("span", "verdicts", ...marks));
  const body = make("div", "body");
  const details = make("details", "problem", summary, body);
  details.id = `problem-${position + 1}`;
  details.addEventListener("toggle", () => {
    if (details.open && !body.hasChildNodes()) openProblem(body, position);
  });
  return details;
}

// The list and its filter

const problems = index.problems.map((problem, position) => {
  const answers = problem.marks.map((mark) => (mark ? mark[1] : ""));
  return { problem, position, text: [problem.id, problem.question, ...answers].join("\n").toLowerCase() };
});

function outcomeFits({ problem }, outcome, method) {
  const rights = problem.marks.filter((mark) => mark !== null).map(([right]) => right);
  const mark = problem.marks[method];
  if (outcome === "differ") return new Set(rights).size > 1;
  if (outcome === "all") return true;
  return mark !== null && mark[0] === (outcome === "right");
}

function list() {
  const words = byId("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  const [outcome, method] = [byId("outcome").value, Number(byId("method").value)];
  const found = problems.filter((entry) => words.every((word) => entry.text.includes(word)) && outcomeFits(entry, outcome, method));
  const head = make("div", "columns", make("span", "", ""), make("span", "", "problem"), ...index.methods.map((name) => make("span", "", name)));
  byId("list").replaceChildren(head);
  appendSome(byId("list"), found, FEW_PROBLEMS, row);
  byId("count").textContent = found.length === problems.length ? plural(found.length, "problem") : `${found.length} of ${plural(problems.length, "problem")}`;
}

function start() {
  byId("method").append(...index.methods.map((name, which) => new Option(name, String(which))));
  byId("by").hidden = index.methods.length < 2;
  byId("outcome").querySelector('[value="differ"]').hidden = index.methods.length < 2;
  byId("list").style.setProperty("--methods", String(index.methods.length));
  byId("filter").addEventListener("input", list);
  byId("filter").addEventListener("submit", (event) => event.preventDefault());
  list();
  const wanted = location.hash.startsWith("#problem-") ? byId(location.hash.slice(1)) : null;
  if (wanted) {
    wanted.open = true;
    wanted.scrollIntoView();
  }
}

start();
