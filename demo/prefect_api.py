"""What does Prefect's own UI send? The few REST calls a person's clicks amount to."""

import time
from typing import Any

import httpx

BACKOFF_S = (0.2, 0.5, 1, 2, 4, 8)


class PrefectApi:
    """Prefect's REST API with the shared password, as the UI uses it."""

    def __init__(self, url: str, auth: str) -> None:
        user, _, password = auth.partition(":")
        self._client = httpx.Client(base_url=url, auth=(user, password), timeout=120)

    def trigger(self, deployment: str, parameters: dict[str, Any] | None = None) -> str:
        """Fire a deployment (`flow/name`); the flow run's id."""
        found = self._get(f"/deployments/name/{deployment}")
        body = {"parameters": parameters or {}}
        run = self._post(f"/deployments/{found['id']}/create_flow_run", body)
        return str(run["id"])

    def flow_run(self, flow_run: str) -> dict[str, Any]:
        """A flow run with its state."""
        return self._get(f"/flow_runs/{flow_run}")

    def flow_runs(self, deployment: str) -> list[dict[str, Any]]:
        """Every flow run of a deployment (`flow/name`), oldest first."""
        flow, _, name = deployment.partition("/")
        wanted = {
            "flows": {"name": {"any_": [flow]}},
            "deployments": {"name": {"any_": [name]}},
            "sort": "EXPECTED_START_TIME_ASC",
        }
        return self._post("/flow_runs/filter", wanted)

    def task_runs(self, flow_run: str) -> list[dict[str, Any]]:
        """The task runs of a flow run, oldest first."""
        body = {
            "task_runs": {"flow_run_id": {"any_": [flow_run]}},
            "sort": "EXPECTED_START_TIME_ASC",
            "limit": 200,
        }
        return self._post("/task_runs/filter", body)

    def task_run_states(self, task_run: str) -> list[dict[str, Any]]:
        """The states a task run went through, oldest first."""
        found = self._get(f"/task_run_states/?task_run_id={task_run}")
        return sorted(found, key=lambda state: state["timestamp"])

    def form(self, flow_run: str) -> dict[str, Any] | None:
        """The JSON Schema of the form a suspended run waits under, or None while it is not there."""
        details = self.flow_run(flow_run)["state"]["state_details"]
        keys = details.get("run_input_keyset")
        if not keys:
            return None
        answer = self._client.get(f"/flow_runs/{flow_run}/input/{keys['schema']}")
        return answer.json() if answer.status_code == 200 else None

    def resume(self, flow_run: str, run_input: dict[str, Any]) -> dict[str, Any]:
        """Send a form; Prefect's verdict is in `status`, never in the HTTP code."""
        return self._post(f"/flow_runs/{flow_run}/resume", {"run_input": run_input})

    def write_ahead(self, deployment: str, runs: int) -> None:
        """Have the scheduler write so many runs of a deployment (its id) ahead, more than it does by itself."""
        self._post(f"/deployments/{deployment}/schedule", {"min_runs": runs, "max_runs": runs})

    def cancel(self, flow_run: str) -> dict[str, Any]:
        """Press Cancel."""
        body = {"state": {"type": "CANCELLING", "name": "Cancelling"}, "force": False}
        return self._post(f"/flow_runs/{flow_run}/set_state", body)

    def retry(self, flow_run: str) -> dict[str, Any]:
        """Press Retry: an ordinary way out of an ended state, by which Prefect forgets its forms' answers."""
        state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}
        return self._post(f"/flow_runs/{flow_run}/set_state", {"state": state, "force": False})

    def delete(self, flow_run: str) -> None:
        """Press Delete."""
        self._send("DELETE", f"/flow_runs/{flow_run}", None)

    def force(self, flow_run: str, state: str) -> None:
        """Change the state by hand, as `Change state` does."""
        body = {"state": {"type": state, "name": state.capitalize()}, "force": True}
        self._post(f"/flow_runs/{flow_run}/set_state", body)

    def pause_queue(self, pool: str, queue: str, *, paused: bool) -> None:
        """Switch a work queue off or on."""
        path = f"/work_pools/{pool}/queues/{queue}"
        self._send("PATCH", path, {"is_paused": paused})

    def forget_form(self, flow_run: str) -> None:
        """Lose the form a suspended run waits under."""
        key = self.flow_run(flow_run)["state"]["state_details"]["run_input_keyset"]["schema"]
        self._send("DELETE", f"/flow_runs/{flow_run}/input/{key}", None)

    def states(self, flow_run: str) -> list[dict[str, Any]]:
        """Every state the flow run was in, oldest first."""
        found: list[dict[str, Any]] = self._get(f"/flow_run_states/?flow_run_id={flow_run}")
        return sorted(found, key=lambda s: str(s["timestamp"]))

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def _get(self, path: str) -> Any:
        return self._send("GET", path, None)

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self._send("POST", path, body)

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        """One call; a 503 says that Prefect's database was busy and nothing was done, so it is sent again."""
        answer = self._client.request(method, path, json=body)
        for delay in BACKOFF_S:
            if answer.status_code != 503:
                break
            time.sleep(delay)
            answer = self._client.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None
