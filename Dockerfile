# CPU:   docker build -t adain .
# CUDA:  docker build -t adain --build-arg TORCH_BACKEND=cu132 .
# Ray:   docker build -t adain-ray --build-arg EXTRAS=ray .
FROM python:3.11-slim AS build
ARG TORCH_BACKEND=cpu
ARG EXTRAS=
ENV UV_COMPILE_BYTECODE=1
WORKDIR /src
COPY .ci/install .ci/install
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY app app
COPY model model
COPY training training
COPY weights weights
RUN sh .ci/install /opt/adain

FROM python:3.11-slim
COPY --from=build /opt/adain /opt/adain
RUN install -d -o 10001 -g 10001 /data
VOLUME /data
# Uploads over 1 MiB are spooled to /tmp: with a read-only root filesystem, mount a tmpfs there.
ENV PATH=/opt/adain/bin:$PATH ADAIN_HOST=0.0.0.0 ADAIN_PORT=8000 ADAIN_DATA_DIR=/data
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --start-period=60s --interval=10s --timeout=5s CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"ADAIN_PORT\"]}/readyz', timeout=4)"]
CMD ["adain", "serve"]
