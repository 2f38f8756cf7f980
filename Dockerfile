# syntax=docker/dockerfile:1
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /venv
COPY requirements.txt /requirements.txt
# The file has the hash of every wheel, so pip refuses any other.
RUN /venv/bin/pip install --require-hashes --only-binary :all: --requirement /requirements.txt
COPY . /app
WORKDIR /app
RUN /venv/bin/python -m compileall -q /venv/lib /app \
    && ENVIRONMENT=production SECRET_KEY=only-while-the-image-is-built-nothing-is-signed-with-it \
       DATABASE_URL=postgres://none/none REDIS_URL=redis://none ALLOWED_HOSTS=none \
       /venv/bin/python manage.py collectstatic --no-input

FROM python:3.13-slim
# A new volume is owned as the directory it is mounted on.
RUN install -d -o 10001 -g 10001 -m 700 /exports
ENV PATH=/venv/bin:$PATH ENVIRONMENT=production PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 BIND_ADDRESS=0.0.0.0
# Owned by root and read by the user below: the service cannot change itself.
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
USER 10001:10001
EXPOSE 8000
CMD ["python", "-m", "project.web.server"]
