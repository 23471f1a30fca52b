// Creates an instance of the workflow, then shows its status until it has ended.
const form = document.querySelector("form");
const state = document.querySelector("#state");
const ENDED = ["complete", "errored", "terminated"];

function show(value) {
  state.hidden = false;
  state.textContent = JSON.stringify(value, null, 2);
}

async function follow(id) {
  const answer = await fetch(`/api/instances/${id}`);
  const status = await answer.json();
  show({ id, ...status });
  if (answer.ok && !ENDED.includes(status.status)) setTimeout(() => follow(id), 1000);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const email = new FormData(form).get("email");
  const answer = await fetch("/api/instances", { method: "POST", body: JSON.stringify({ email }) });
  const created = await answer.json();
  show(created);
  if (answer.ok) follow(created.id);
});
