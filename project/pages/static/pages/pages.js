// What the pages need beyond htmx: a field that can be typed into again at once, and what is said when the server
// does not answer.
"use strict";

const sent = new WeakMap();

document.addEventListener("htmx:beforeRequest", ({ target }) => {
  if (!target.matches("[data-emptied]")) return;
  sent.set(target, [...target.elements].filter((field) => field.name && field.type !== "hidden").map((field) => [field, field.value]));
  target.reset();
});

function giveBack(form) {
  for (const [field, value] of sent.get(form) ?? []) field.value ||= value;
}

function complain(text) {
  const notes = document.getElementById("notes");
  if (!notes) return;
  const note = document.createElement("p");
  note.className = "note error";
  note.textContent = text;
  notes.replaceChildren(note);
}

document.addEventListener("htmx:sendError", ({ target }) => {
  giveBack(target);
  complain("The server cannot be reached. What you typed is still here: try again in a moment.");
});
document.addEventListener("htmx:responseError", ({ target, detail }) => {
  giveBack(target);
  complain(detail.xhr.status === 429
    ? "That was too often in a short time. Wait a moment, then try again."
    : "Something went wrong on our side. What you typed is still here: try again in a moment.");
});
