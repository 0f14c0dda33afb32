// The sign-in page: sends the token, then goes to the studio. A link with #TOKEN (the QR code) signs in by itself.
import { T } from "./texts.js";

const form = document.getElementById("login");
const field = document.getElementById("token");
const fault = document.getElementById("fault");
document.getElementById("why").textContent = T.login.why;
document.getElementById("token-label").textContent = T.login.token;
document.getElementById("enter").textContent = T.login.enter;

async function enter(event) {
  event?.preventDefault();
  fault.hidden = true;
  try {
    const answer = await fetch("/api/v1/login", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token: field.value.trim() }),
    });
    if (answer.ok) return location.replace("/");
    const body = await answer.json().catch(() => ({}));
    fault.textContent = body.errors?.[0]?.message ?? T.login.refused;
  } catch {
    fault.textContent = T.connection.gone;
  }
  fault.hidden = false;
  field.select();
}

form.addEventListener("submit", enter);
const given = decodeURIComponent(location.hash.slice(1));
if (given) {
  // The token must not stay in the address, where others may read it.
  history.replaceState(null, "", location.pathname);
  field.value = given;
  enter();
}
