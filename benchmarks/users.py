"""Clients of the service for Locust, which `benchmarks.load` runs."""

from __future__ import annotations

import random
import time
from argparse import Namespace
from pathlib import Path

import gevent
from locust import HttpUser, events, task


@events.init_command_line_parser.add_listener
def add_arguments(parser) -> None:  # type: ignore[no-untyped-def]
    """Add what `benchmarks.load` says to the command line."""
    parser.add_argument("--content", type=Path, help="the picture that all clients send")
    parser.add_argument("--saved", help="id of a saved style")
    parser.add_argument("--period", type=float, help="seconds from request to request; 0: none")


class Client(HttpUser):
    """Stylizes the same picture again and again; waits as long as a refusal asks it to."""

    @property
    def options(self) -> Namespace:
        """The command line."""
        options: Namespace = self.environment.parsed_options
        return options

    def on_start(self) -> None:
        """Begin at any moment of the first period, so that clients do not ask in step."""
        self.picture = self.options.content.read_bytes()
        self.due = time.monotonic() + random.uniform(0, self.options.period)
        gevent.sleep(self.due - time.monotonic())

    def wait_time(self) -> float:
        """Until the next request is due, however long the last one took."""
        self.due += self.options.period
        return max(0.0, self.due - time.monotonic())

    @task
    def stylize(self) -> None:
        """Stylize once; the statistics are kept by status."""
        with self.client.post(
            "/v1/stylize",
            files={"content": self.picture},
            data={"style_id": self.options.saved, "format": "jpeg"},
            catch_response=True,
        ) as response:
            response.request_meta["name"] = str(response.status_code)
            response.success()
        if response.status_code == 503:
            gevent.sleep(float(response.headers["Retry-After"]))
