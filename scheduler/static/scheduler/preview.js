"use strict";
// Shows what is being typed: the cron text in plain language and its next fire times, as the server computes them.
document.addEventListener("DOMContentLoaded", () => {
  const panel = document.getElementById("schedule-preview");
  if (!panel) return;
  const cron = document.getElementById("id_cron");
  const zone = document.getElementById("id_time_zone");
  const reading = panel.querySelector(".reading");
  const table = panel.querySelector("table");
  document.querySelector(".field-cron")?.closest("fieldset").after(panel); // beside what it explains
  let asked = 0;
  let timer;

  function cell(text, className) {
    const td = document.createElement("td");
    td.textContent = text;
    if (className) td.className = className;
    return td;
  }

  function row(fire) {
    const tr = document.createElement("tr");
    if (fire.mark) tr.className = "marked";
    const mark = fire.mark ? `${fire.mark}: ${fire.note}` : "";
    tr.append(cell(fire.local), cell(fire.utc, "utc"), cell(mark, "mark"));
    return tr;
  }

  async function show() {
    const number = ++asked;
    const query = new URLSearchParams({
      cron: cron ? cron.value : panel.dataset.cron,
      time_zone: zone ? zone.value : panel.dataset.timeZone,
    });
    if (!query.get("cron").trim()) {
      reading.textContent = "Fill in the cron text to see when it fires.";
      table.hidden = true;
      return;
    }
    let answer;
    try {
      const response = await fetch(`${panel.dataset.url}?${query}`, { headers: { Accept: "application/json" } });
      answer = await response.json();
    } catch {
      answer = { error: "The preview is not available now; what you save is still checked." };
    }
    if (number !== asked) return; // something newer was typed meanwhile
    reading.textContent = answer.error || answer.reading;
    reading.classList.toggle("errornote", Boolean(answer.error));
    table.hidden = Boolean(answer.error);
    table.querySelector("tbody").replaceChildren(...(answer.fires || []).map(row));
  }

  for (const input of [cron, zone]) {
    input?.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(show, 250);
    });
  }
  show();
});
