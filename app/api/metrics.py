"""GET /metrics, for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.service import CurrentService

router = APIRouter()


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
def show(service: CurrentService) -> Response:
    """Return all metrics in Prometheus' text format."""
    return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)
