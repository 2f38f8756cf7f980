"""Django's settings, built from the environment."""

import zoneinfo
from datetime import timedelta
from typing import Any

import dj_database_url
from psycopg import IsolationLevel

from project.environment import BASE_DIR, environment
from project.export_environment import exports_storage
from project.logs import configure_structlog, logging_config
from project.mail_environment import site_url

# Time zones come from the pinned tzdata package, so that every machine computes the same fire times.
zoneinfo.reset_tzpath(to=[])

ENVIRONMENT_NAME = environment.environment
SECRET_KEY = environment.secret_key.get_secret_value()
DEBUG = ENVIRONMENT_NAME == "development"
ALLOWED_HOSTS = environment.allowed_hosts
REDIS_URL = environment.redis_url.get_secret_value()

INSTALLED_APPS = [
    "project.desk.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "ninja",
    "project.database",
    # Before django_dramatiq, whose command `rundramatiq` it replaces.
    "project.pool",
    "django_dramatiq",
    "django_htmx",
    "project.tasks",
    "users",
    "project.health",
    "project.mail",
    "project.desk",
    "project.pages",
    "project.drill",
    "todo",
    "notifications",
    "reports",
    "scheduler",
]
MIDDLEWARE = [
    "project.web.headers.HeadersMiddleware",
    "project.health.middleware.ProbeMiddleware",
    "project.web.request_log.RequestLogMiddleware",
    "project.web.errors.ErrorShapeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "project.web.nul.NulMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "project.tasks.sending.cause.CauseMiddleware",
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

# --- Database: one pool per process, which notices by itself that a connection has broken ---
_database: dict[str, Any] = dict(dj_database_url.parse(environment.database_url.get_secret_value(), conn_max_age=0))
_database["ENGINE"] = "project.database"
_database["OPTIONS"] = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    **_database.get("OPTIONS", {}),
}
DATABASE_POOL = {"max_size": environment.database_pool_size, "timeout": environment.database_pool_timeout}
# Whether a session is one's own from one statement to the next.
DATABASE_KEEPS_SESSIONS = environment.database_pooler == "none"
_database["DISABLE_SERVER_SIDE_CURSORS"] = not DATABASE_KEEPS_SESSIONS
# Where a session can be given no default, each transaction says it; see `BEGIN` in project/database/sessions.py.
_database["OPTIONS"]["isolation_level"] = IsolationLevel.READ_COMMITTED
DATABASES = {"default": _database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- People ---
AUTH_USER_MODEL = "users.User"
PASSWORD_HASHERS = ["users.passwords.Argon2"]
if ENVIRONMENT_NAME == "test":
    PASSWORD_HASHERS.insert(0, "django.contrib.auth.hashers.MD5PasswordHasher")
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "todos"

# --- HTTP ---
PROXY_HOPS = environment.proxy_hops
AUTH_RATE_LIMIT = environment.auth_rate_limit
ACCOUNT_RATE_LIMIT = environment.account_rate_limit
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
CSRF_TRUSTED_ORIGINS = environment.csrf_trusted_origins
if PROXY_HOPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
if environment.is_production:
    SECURE_SSL_REDIRECT = environment.secure_ssl_redirect
    SECURE_HSTS_SECONDS = environment.hsts_seconds
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

# --- Mail: without a server to send it to, it becomes files that the page /admin/mail/ shows ---
SITE_URL = site_url(
    environment.site_url, hosts=ALLOWED_HOSTS, port=environment.port, is_production=environment.is_production
)
MAIL_DIRECTORY = None
if not (environment.is_production or environment.email_host):
    MAIL_DIRECTORY = environment.mail_directory or BASE_DIR / ".data" / "mail"
EMAIL_BACKEND = "project.mail.files.EmailBackend" if MAIL_DIRECTORY else "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST = environment.email_host or "localhost"
EMAIL_PORT = environment.email_port_used
EMAIL_USE_TLS = environment.email_security == "starttls"
EMAIL_USE_SSL = environment.email_security == "tls"
EMAIL_HOST_USER = environment.email_user
EMAIL_HOST_PASSWORD = environment.email_password.get_secret_value() if environment.email_password else ""
EMAIL_TIMEOUT = environment.email_timeout
EMAIL_RATE_LIMIT = environment.email_rate_limit
DIGEST_RATE_LIMIT = environment.digest_rate_limit
DEFAULT_FROM_EMAIL = environment.email_from
EMAIL_DOMAIN = environment.email_domain

# --- Exports: the files are kept in a directory that web and workers share, or in a bucket ---
EXPORTS_DIRECTORY = environment.exports_directory or BASE_DIR / ".data" / "exports"
EXPORTS_IN_BUCKET = bool(environment.exports_s3_bucket)

# --- Static files: WhiteNoise serves them from the process itself ---
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles" if environment.is_production else None
WHITENOISE_USE_FINDERS = not environment.is_production
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "exports": exports_storage(environment, directory=EXPORTS_DIRECTORY),
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if environment.is_production
        else "django.contrib.staticfiles.storage.StaticFilesStorage",
    },
}

# --- Language and time ---
LANGUAGE_CODE = "en-us"
USE_I18N = True
USE_TZ = True
TIME_ZONE = environment.time_zone

# --- Logs ---
configure_structlog()
LOGGING = logging_config(json=environment.logs_are_json, level=environment.log_level)

# --- Readiness: each is called in turn and raises NotReadyError with the reason ---
READINESS_PROBES = [
    "project.health.probes.database",
    "project.health.probes.broker",
    "project.health.probes.ping",
]
# What /readyz tells besides: each returns lines about what somebody should look at.
READINESS_ALARMS = ["scheduler.ledger.alarms", "project.broker.fullness.alarms"]

# --- Tasks ---
TASKS_REGISTRY = "project.registry"
HISTORY_DAYS_SUCCEEDED = environment.history_days_succeeded
HISTORY_DAYS_FAILED = environment.history_days_failed
METRICS_TOKEN = environment.metrics_token.get_secret_value() if environment.metrics_token else ""
# What `manage.py tasks check` reads: every call that is stored and not executed yet.
TASKS_STORED_CALLS = [
    "project.tasks.repair.stored_calls.of_runs",
    "project.tasks.repair.stored_calls.of_batches",
    "scheduler.scheduled_calls.of_schedules",
]
# The first deletes rows of a table that nothing here writes; the second is for a drill's own workers.
DRAMATIQ_IGNORED_MODULES = ["django_dramatiq.tasks", "project.drill.tasks"]
DRAMATIQ_ENCODER = "project.broker.encoder.Encoder"
DRAMATIQ_BROKER = {
    "BROKER": "project.broker.broker.ServiceBroker",
    "OPTIONS": {"url": REDIS_URL, "namespace": environment.broker_namespace},
    "MIDDLEWARE": [
        "dramatiq.middleware.AgeLimit",
        "dramatiq.middleware.Callbacks",
        "dramatiq.middleware.Pipelines",
        "project.tasks.running.retries.SafeRetries",
        "project.broker.watchdog.Watchdog",
    ],
}
# Added once the models are there, so after the ones above: their hooks before a task run last, those after it first.
TASKS_MIDDLEWARE = [
    "project.tasks.upkeep.process.WorkerProcess",
    "project.tasks.running.middleware.DeadLetters",
    "project.tasks.running.middleware.Deliveries",
    "project.tasks.loop.event_loop.EventLoop",
    "project.tasks.running.hard_limit.HardLimit",
]
ASYNC_CONCURRENCY = environment.async_concurrency
# A task that goes on for so long after its time limit has its process replaced.
TASKS_TIME_LIMIT_GRACE = timedelta(seconds=30)
