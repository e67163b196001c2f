"""Prometheus metrics of one service."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import torch
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
)
from starlette.types import Scope

from app.engine.interface import Model

# From a cached style at 256x256 on a GPU to the largest picture on a CPU, in seconds.
SECONDS = (0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 40, 80)
BATCH_SIZES = (1, 2, 4, 8, 16, 32)
UNKNOWN_ROUTE = "none"
UNKNOWN_METHOD = "other"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Metrics:
    """Counters, histograms and gauges in a registry of their own.

    Attributes:
        requests: answers by route, method and status.
        problems: errors by their code, those that were refused before any work among them.
        seconds: of whole requests, by route.
        stage_seconds: of each stage of a stylization; Server-Timing has them for one request.
        batch_size: how many stylizations the model painted at once, counted for each of them.
        styles: styles of requests, by where their statistics came from.
        pixels: of stylized pictures.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "adain_requests", "Answers.", ("route", "method", "status"), registry=self.registry
        )
        self.problems = Counter(
            "adain_problems", "Errors by code.", ("code",), registry=self.registry
        )
        self.seconds = Histogram(
            "adain_request_seconds",
            "Whole requests.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "adain_stage_seconds",
            "Stages of stylizations: read, decode, queue, style, model, encode, refine.",
            ("stage",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.batch_size = Histogram(
            "adain_batch_size",
            "How many stylizations the model painted at once, counted for each of them.",
            buckets=BATCH_SIZES,
            registry=self.registry,
        )
        self.styles = Counter(
            "adain_styles",
            "Styles of stylizations by where their statistics came from: known or computed.",
            ("source",),
            registry=self.registry,
        )
        self.pixels = Counter("adain_pixels", "Pixels stylized.", registry=self.registry)

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Show `value` of the moment as a gauge."""
        Gauge(name, what, registry=self.registry).set_function(value)

    def describe(self, model: Model) -> None:
        """Show which program, device and weights these are."""
        Info("adain_build", "Program, device and weights.", registry=self.registry).info(
            {
                "version": version("adain"),
                "torch": torch.__version__,
                "device": model.device,
                "precision": model.precision,
                "weights": model.weights,
            }
        )

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """Count the answer to a request."""
        # The route's template, not the path: one series for each route.
        route = getattr(scope.get("route"), "path", UNKNOWN_ROUTE)
        # Methods can be invented too: labels come from a closed set.
        method = scope["method"] if scope["method"] in METHODS else UNKNOWN_METHOD
        self.requests.labels(route, method, status).inc()
        self.seconds.labels(route).observe(seconds)
        if "problem" in scope["state"]:
            self.problems.labels(scope["state"]["problem"]).inc()
