# Cervix Workbench. Research and demonstration only. Not a medical device.
#
#   docker build -t cervix-workbench .
#   docker build -t cervix-workbench:gpu --build-arg LOCK=app-cuda .
#
# How to run it with the fewest rights is in docs/operations.md.

FROM python:3.11-slim

# "app-cuda" adds CUDA 13 and cuDNN 9 to the image, from pip; the host needs only its NVIDIA driver.
ARG LOCK=app

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    STREAMLIT_SERVER_HEADLESS=true \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    CERVIX_HOME=/data \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

WORKDIR /app

# Exactly the files that were tested, or none; wheels alone, so that no package runs code while it is installed.
COPY locks locks
RUN pip install --require-hashes --only-binary :all: -r "locks/linux-$(uname -m)-py311-$LOCK.txt"

RUN useradd --create-home --uid 10001 cervix \
    && mkdir /data \
    && chown cervix:cervix /data

COPY .streamlit .streamlit
COPY bundle bundle
COPY cervix cervix
COPY docs/glossary.md docs/glossary.md
COPY pages pages
COPY streamlit_app.py .

USER cervix
VOLUME /data
EXPOSE 8501

# Under a loopback name, which the server always answers to.
# Loading the bundle replays its golden vectors, which the first minute allows for.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=3)"]

CMD ["streamlit", "run", "streamlit_app.py"]
