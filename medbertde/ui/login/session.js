// Runs before Gradio: says so when the session has ended, and lets Gradio show our sentence when the server is busy.
(() => {
  const plain = window.fetch.bind(window);
  const words = () =>
    document.documentElement.lang === "en"
      ? ["Your session has ended. What you typed is still here.", "Sign in", "When you are signed in again, close this line and go on.", "Close"]
      : ["Ihre Sitzung ist abgelaufen. Ihre Eingaben sind noch da.", "Anmelden", "Danach diese Zeile schließen und weiterarbeiten.", "Schließen"];

  function tellSessionEnded() {
    if (document.getElementById("mb-session-ended") || !document.body) return;
    const [said, signIn, after, close] = words();
    const bar = document.createElement("div");
    bar.id = "mb-session-ended";
    bar.setAttribute("role", "alert");
    const link = document.createElement("a");
    link.href = `/login?language=${document.documentElement.lang}`;
    link.target = "_blank";
    link.rel = "noopener";
    link.textContent = signIn;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = close;
    button.addEventListener("click", () => bar.remove());
    bar.append(said + " ", link, " " + after + " ", button);
    document.body.append(bar);
  }

  window.fetch = async (...asked) => {
    const answer = await plain(...asked);
    if (answer.status === 401) {
      tellSessionEnded();
      // With nothing to say Gradio ends the question quietly: the line says it all, once and in the page's language.
      if (answer.url.includes("/queue/join")) return Response.json({ detail: [] }, { status: 401 });
    }
    if (answer.status === 503 && answer.url.includes("/queue/join")) {
      return new Response(await answer.text(), { status: 429, headers: { "content-type": "application/json" } });
    }
    return answer;
  };
})();
