// Numbers and times for people.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });

export const number = (value) => whole.format(value);

export const percent = (share) => `${short.format(share * 100)} %`;

// "1 partition", "2 partitions".
export const count = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;

export function bytes(value) {
  let rest = value;
  let unit = 0;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  while (rest >= 1024 && unit < units.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? whole.format(rest) : short.format(rest)} ${units[unit]}`;
}

export function rate(perSecond) {
  if (perSecond === null || perSecond === undefined) return "–";
  if (perSecond === 0) return "0";
  return perSecond < 10 ? short.format(Math.max(perSecond, 0.1)) : whole.format(perSecond);
}

// Two units are enough for anybody: "3 d 4 h", "2 min 5 s".
export function duration(seconds) {
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let rest = Math.max(0, Math.round(seconds));
  const said = [];
  for (const [unit, size] of parts) {
    const amount = Math.floor(rest / size);
    rest -= amount * size;
    if (amount > 0 || (unit === "s" && said.length === 0)) said.push(`${amount} ${unit}`);
    if (said.length === 2) break;
  }
  return said.join(" ");
}

export const clock = (date) => date.toLocaleTimeString("en-GB");

export const moment = (millis) => new Date(millis).toLocaleString("sv-SE");
