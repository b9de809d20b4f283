// Keeps what says how long something is past true while a page stays open.
(() => {
  const given = document.currentScript.dataset;
  const texts = JSON.parse(given.texts);
  const ahead = Date.now() - Number(given.now); // of this clock before the hub's
  const units = [["day", 86400000], ["hour", 3600000], ["minute", 60000], ["second", 1000]];

  function ago(past) {
    for (const [unit, length] of units) {
      const count = Math.floor(past / length);
      if (count > 0) {
        return texts[count === 1 ? unit : `${unit}s`].replace("{count}", count);
      }
    }
    return texts.now;
  }

  function tell() {
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const said = ago(Date.now() - ahead - Date.parse(time.dateTime));
      if (time.textContent !== said) {
        time.textContent = said;
      }
    }
  }

  setInterval(tell, 5000);
})();
