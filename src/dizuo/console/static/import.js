// Sends one file as it is, from a choice or a drop, and tells how far it is.
// Everything is bound to the document: the page draws its content after scripts have run.
(() => {
  let request = null;
  const zone = () => document.getElementById("drop");
  const part = (name) => zone().querySelector(`[data-part="${name}"]`);

  function tell(sentence) {
    part("error").textContent = sentence;
    part("error").hidden = !sentence;
  }

  function show(sending) {
    part("choice").hidden = sending;
    part("sending").hidden = !sending;
  }

  function progress(name, done, total) {
    const percent = total ? Math.floor((100 * done) / total) : 0;
    part("bar").value = percent;
    part("told").textContent = zone()
      .dataset.sending.replace("{name}", name)
      .replace("{percent}", percent);
  }

  function refuse(sentence) {
    request = null;
    show(false);
    tell(sentence);
    document.getElementById("file").value = "";
    document.getElementById("file").focus();
  }

  function sentenceOf(answer) {
    try {
      return JSON.parse(answer.responseText).message || zone().dataset.failed;
    } catch {
      return zone().dataset.failed;
    }
  }

  function finish(file) {
    if (request.status === 401) {
      location.reload(); // the session has ended: the gate asks to sign in, and comes back here
    } else if (request.status === 201) {
      const next = new URL(zone().dataset.next, location.href);
      next.searchParams.set("upload", JSON.parse(request.responseText).digest);
      next.searchParams.set("file", file.name);
      location.assign(next);
    } else {
      refuse(sentenceOf(request));
    }
  }

  function send(files) {
    tell("");
    if (files.length !== 1) {
      refuse(zone().dataset.one);
      return;
    }
    const file = files[0];
    request = new XMLHttpRequest();
    request.open("PUT", "/data/import/upload");
    request.upload.onprogress = (event) => progress(file.name, event.loaded, event.total);
    request.onload = () => finish(file);
    request.onerror = () => refuse(zone().dataset.failed);
    request.onabort = () => refuse(zone().dataset.cancelled);
    progress(file.name, 0, file.size);
    show(true);
    part("cancel").focus();
    request.send(file);
  }

  function holdsFolder(data) {
    return Array.from(data.items || []).some((item) => item.webkitGetAsEntry?.()?.isDirectory);
  }

  document.addEventListener("change", (event) => {
    if (event.target.id === "file" && event.target.files.length) send(event.target.files);
  });
  document.addEventListener("click", (event) => {
    if (request && event.target.closest?.('#drop [data-part="cancel"]')) request.abort();
  });
  for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      if (!zone()) return;
      event.preventDefault(); // a file that misses the place must not replace the page
      const inside = Boolean(event.target.closest?.("#drop"));
      zone().classList.toggle("over", inside && name !== "dragleave" && name !== "drop");
      if (name !== "drop" || !inside || request) return;
      if (holdsFolder(event.dataTransfer)) refuse(zone().dataset.folder);
      else send(event.dataTransfer.files);
    });
  }
})();
