# Preread's server. One image for CPU (default) and one for NVIDIA GPUs:
#   docker build -t preread .
#   docker build -t preread:gpu --build-arg EXTRA=gpu .
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
# cpu or gpu: which ONNX Runtime; more extras after a comma (cpu,postgres)
ARG EXTRA=cpu,postgres
WORKDIR /source
RUN python -m venv /opt/preread
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY imaging imaging
COPY models models
COPY pacs_bridge pacs_bridge
RUN /opt/preread/bin/pip install --no-cache-dir --no-compile -c requirements.lock ".[${EXTRA}]" \
    && /opt/preread/bin/pip uninstall --yes pip \
    && /opt/preread/bin/preread --version

FROM python:${PYTHON}-slim
# Chinese in PDF reports and in captions of secondary captures
RUN apt-get update \
    && apt-get install --yes --no-install-recommends fonts-wqy-microhei \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 preread \
    && useradd --uid 10001 --gid preread --create-home --shell /usr/sbin/nologin preread \
    && install -d -o preread -g preread /data /etc/preread
COPY --from=build /opt/preread /opt/preread
ENV PATH=/opt/preread/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PREREAD_STORAGE__FOLDER=/data
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
# DICOM, and the review page
EXPOSE 11112 8088
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8088/healthz', timeout=4)"]
# mount the settings at /etc/preread/preread.toml; `preread settings` prints them
ENTRYPOINT ["preread"]
CMD ["serve", "--config", "/etc/preread/preread.toml"]
