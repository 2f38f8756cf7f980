"""Django's settings, built from the environment."""

from pathlib import Path

import dj_database_url

from project.environment import environment

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = environment.secret_key.get_secret_value()
DEBUG = environment.environment == "development"
ALLOWED_HOSTS = environment.allowed_hosts.split(",")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "ninja",
    "django_dramatiq",
    "users",
    "project.tasks",
    "project.health",
    "todo",
    "scheduler",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DATABASES = {"default": dj_database_url.parse(environment.database_url)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "users.User"
STATIC_URL = "static/"
USE_TZ = True
TIME_ZONE = environment.time_zone

TASKS_REGISTRY = "project.registry"
DRAMATIQ_BROKER = {
    "BROKER": "dramatiq.brokers.redis.RedisBroker",
    "OPTIONS": {"url": environment.redis_url, "namespace": environment.broker_namespace},
    "MIDDLEWARE": [],
}
