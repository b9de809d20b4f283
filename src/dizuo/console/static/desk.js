// The labelling desk: keys, focus, and what stands in the fields. What it means is decided by the hub.
(() => {
  const area = () => document.getElementById("desk");
  let busy = false;
  let drawn = "";

  function given(desk) {
    const found = {};
    for (const one of desk.querySelectorAll("[name]")) {
      if (one.type === "radio" && !one.checked) continue;
      found[one.name] = one.value;
    }
    return found;
  }

  function ask(what, path) {
    const desk = area();
    if (!desk || busy) return;
    busy = true;
    emitEvent("desk", {
      what,
      path: path || "",
      token: desk.dataset.token,
      drawn: desk.dataset.drawn,
      given: given(desk),
    });
  }

  // A list of labels that narrows while one types; the first nine have no digits here.
  function options(field) {
    const wanted = field.value.trim().toLowerCase();
    const labels = JSON.parse(field.dataset.labels);
    const whole = labels.filter((one) => one.toLowerCase() === wanted);
    const starts = labels.filter((one) => one.toLowerCase().startsWith(wanted) && !whole.includes(one));
    const holds = labels.filter((one) => one.toLowerCase().includes(wanted) && !starts.includes(one) && !whole.includes(one));
    return [...whole, ...starts, ...holds];
  }

  function list(field, all) {
    const box = document.getElementById("known-labels");
    const found = all ? JSON.parse(field.dataset.labels) : options(field);
    box.replaceChildren(
      ...found.slice(0, 60).map((label, number) => {
        const item = document.createElement("li");
        item.id = `label-${number}`;
        item.setAttribute("role", "option");
        item.textContent = label;
        return item;
      }),
    );
    mark(field, found.indexOf(field.value));
  }

  function mark(field, number) {
    const items = [...document.querySelectorAll("#known-labels li")];
    items.forEach((one, place) => one.setAttribute("aria-selected", String(place === number)));
    if (items[number]) {
      field.setAttribute("aria-activedescendant", items[number].id);
      items[number].scrollIntoView({ block: "nearest" });
    } else {
      field.removeAttribute("aria-activedescendant");
    }
  }

  function move(field, step) {
    const items = [...document.querySelectorAll("#known-labels li")];
    if (!items.length) return;
    const now = items.findIndex((one) => one.getAttribute("aria-selected") === "true");
    const next = now < 0 ? (step > 0 ? 0 : items.length - 1) : (now + step + items.length) % items.length;
    field.value = items[next].textContent;
    mark(field, next);
  }

  function settle(field) {
    // Enter means what is marked, or the only label that is left.
    const items = [...document.querySelectorAll("#known-labels li")];
    const marked = items.find((one) => one.getAttribute("aria-selected") === "true");
    const meant = marked || (items.length === 1 ? items[0] : null);
    if (meant && field.value.trim()) field.value = meant.textContent;
  }

  document.addEventListener("input", (event) => {
    if (event.target.dataset && event.target.dataset.labels) list(event.target, false);
  });

  // Keys count on the desk, and beside it where no other control has the focus: after a click on
  // the picture, or on nothing.
  function counts(desk, target) {
    return desk.contains(target) || !target.closest("a, button, input, select, textarea, summary, [contenteditable]");
  }

  document.addEventListener("keydown", (event) => {
    const desk = area();
    if (!desk || !counts(desk, event.target)) return;
    if (event.isComposing || event.keyCode === 229) return; // Enter of an input method is no Enter
    const target = event.target;
    if (event.altKey && !event.ctrlKey && !event.metaKey) {
      const button = document.querySelector(`[data-key="${event.code}"]`);
      if (button) {
        event.preventDefault();
        if (!event.repeat) ask(button.dataset.do);
      }
      return;
    }
    if (event.ctrlKey || event.metaKey) return;
    if (event.key === "Enter") {
      if (!desk.dataset.token) return; // nothing is on the desk that could be saved
      if (target.closest("button, a") || (event.shiftKey && target.dataset.long !== undefined)) return;
      event.preventDefault();
      if (event.repeat) return;
      const field = desk.querySelector("[data-labels]");
      if (field) settle(field);
      ask("save");
    } else if (target.dataset.labels && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      move(target, event.key === "ArrowDown" ? 1 : -1);
    } else if (/^[1-9]$/.test(event.key) && !target.matches("input:not([type=radio]), textarea, select")) {
      const option = desk.querySelector(`[data-digit="${event.key}"]`);
      if (option) {
        event.preventDefault();
        option.checked = true;
        option.focus();
      }
    }
  });

  document.addEventListener("click", (event) => {
    const desk = area();
    if (!desk) return;
    const button = event.target.closest("[data-do]"); // on the desk, or in what was told above it
    if (button) ask(button.dataset.do, button.dataset.path);
    const item = event.target.closest("#known-labels li");
    if (item) {
      const field = desk.querySelector("[data-labels]");
      field.value = item.textContent;
      list(field, true);
      field.focus();
    }
  });

  // Small pictures are shown in whole pixels.
  document.addEventListener(
    "load",
    (event) => {
      const picture = event.target;
      if (picture.matches && picture.matches("img.picture") && picture.naturalWidth < 200) {
        picture.classList.add("small");
      }
    },
    true,
  );

  // Whatever was drawn anew gets the focus, and keys count again.
  new MutationObserver(() => {
    const desk = area();
    if (!desk || desk.dataset.drawn === drawn) return;
    drawn = desk.dataset.drawn;
    busy = false;
    const field = desk.querySelector("[data-labels]");
    if (field) list(field, true);
    const wanted =
      desk.querySelector("[data-focus]") ||
      desk.querySelector(".json-form :is(input:not([type=hidden]), select, textarea)") ||
      desk.querySelector("a, button");
    if (!wanted) return;
    wanted.focus({ preventScroll: true });
    if (wanted.select && wanted.dataset.labels) wanted.select();
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
