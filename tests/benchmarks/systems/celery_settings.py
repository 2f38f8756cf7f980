"""Django's settings for Celery with django-celery-results."""

import os

import dj_database_url

SECRET_KEY = "bench"
DATABASES = {"default": {**dj_database_url.parse(os.environ["BENCH_DATABASE_URL"]), "CONN_MAX_AGE": None}}
INSTALLED_APPS = ["django_celery_results"]
USE_TZ = True
