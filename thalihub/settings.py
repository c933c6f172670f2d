"""Django's settings for the whole hub, read from the environment (thalihub/env.py)."""

from __future__ import annotations

import hashlib
import os

from thalihub import env, logs
from thalihub.keyfile import secret_key

HUB_VERSION = "0.1.0"
HUB_DATA = env.folder("HUB_DATA", "data")
HUB_HOST = env.read.str("HUB_HOST", "0.0.0.0")
HUB_PAGES_HOST = env.read.str("HUB_PAGES_HOST", "127.0.0.1")
HUB_API_PORT = env.port("HUB_API_PORT", 6984)
HUB_PAGES_PORT = env.port("HUB_PAGES_PORT", 8443)
HUB_PAGES_CERTIFICATE = env.read.bool("HUB_PAGES_CERTIFICATE", False)
HUB_SETUP_TOKEN = env.read.str("HUB_SETUP_TOKEN", "")
HUB_ROLES = env.read.list("HUB_ROLES", default=[])
HUB_PROCESSES = env.read.int("HUB_PROCESSES", 1)
HUB_CONFLICT_POLICY = env.read.str("HUB_CONFLICT_POLICY", "lww")
HUB_MAX_DOCUMENT = env.read.int("HUB_MAX_DOCUMENT", 8_000_000)
HUB_MAX_BODY = env.read.int("HUB_MAX_BODY", 4 * 1024**3)
HUB_MAX_JSON = env.read.int("HUB_MAX_JSON", 64 * 1024**2)
HUB_JS_SECONDS = env.read.float("HUB_JS_SECONDS", 5.0)
HUB_JS_MEMORY = env.read.int("HUB_JS_MEMORY", 64 * 1024**2)
HUB_JS_PROCESSES = env.read.int("HUB_JS_PROCESSES", 2)
HUB_SESSION_SECONDS = env.read.int("HUB_SESSION_SECONDS", 12 * 3600)
HUB_HEADER_SECONDS = env.read.float("HUB_HEADER_SECONDS", 30.0)
HUB_BODY_SECONDS = env.read.float("HUB_BODY_SECONDS", 30.0)
HUB_IDLE_SECONDS = env.read.float("HUB_IDLE_SECONDS", 120.0)
HUB_WRITE_SECONDS = env.read.float("HUB_WRITE_SECONDS", 120.0)
HUB_MAX_CONNECTIONS = env.read.int("HUB_MAX_CONNECTIONS", 4096)
HUB_FREE_PERCENT = env.read.float("HUB_FREE_PERCENT", 5.0)
HUB_FREE_AT_MOST = env.read.int("HUB_FREE_AT_MOST", 5 * 1024**3)
HUB_COMPACT_BYTES = env.read.int("HUB_COMPACT_BYTES", 16 * 1024**2)
HUB_COMPACT_PERCENT = env.read.float("HUB_COMPACT_PERCENT", 30.0)
HUB_HOUSEKEEPING_SECONDS = env.read.float("HUB_HOUSEKEEPING_SECONDS", 60.0)
HUB_PAIRING_SECONDS = env.read.float("HUB_PAIRING_SECONDS", 10.0)
HUB_ADDRESSES = env.read.list("HUB_ADDRESSES", default=[])
HUB_TOR = env.read.str("HUB_TOR", "")
HUB_TOR_PROGRAM = env.read.str("HUB_TOR_PROGRAM", "tor")
HUB_TOR_CONTROL = env.read.str("HUB_TOR_CONTROL", "")
HUB_TOR_PASSWORD = env.read.str("HUB_TOR_PASSWORD", "")
HUB_TOR_SOCKS = env.read.str("HUB_TOR_SOCKS", "")
HUB_TOR_HOST = env.read.str("HUB_TOR_HOST", "127.0.0.1")
HUB_TOR_PORT = env.port("HUB_TOR_PORT", 0)
HUB_TOR_LINES = env.read.str("HUB_TOR_LINES", "")
HUB_TOR_SECONDS = env.read.float("HUB_TOR_SECONDS", 60.0)
HUB_BACKUPS = env.folder("HUB_BACKUPS", str(HUB_DATA / "backups"))
HUB_BACKUP_SECONDS = env.read.float("HUB_BACKUP_SECONDS", 60.0)
REDIS_URL = env.url("REDIS_URL")
REDIS_SOCKET = {
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "socket_keepalive_options": env.of_tcp(),
}

HUB_DATA.mkdir(mode=0o700, parents=True, exist_ok=True)
SECRET_KEY = secret_key(HUB_DATA / "secret.key")
DEBUG = False
ALLOWED_HOSTS = ["*"]  # Hubs are named by key: any Host that the socket was reached by is right.

INSTALLED_APPS = [
    "thalihub.apps.HubAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "axes",
    "acl",
    "couchapi",
    "discovery",
    "replication",
    "thalihub",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "thalihub.urls"
HUB_API_URLCONF = "thalihub.couch_urls"
ASGI_APPLICATION = "thalihub.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [env.SOURCE / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {"default": env.database("DATABASE_URL", HUB_DATA / "hub.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AXES_FAILURE_LIMIT = 5
AXES_ENABLE_ADMIN = False
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_TEMPLATE = "hub/locked.html"
AXES_LOCKOUT_PARAMETERS = [["ip_address", "username"]]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"
# A browser gives cookies to every port of a machine: two hubs there need names of their own.
_OWN = hashlib.sha256(SECRET_KEY.encode()).hexdigest()[:8]
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"hub_session_{_OWN}", f"hub_csrf_{_OWN}"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
SESSION_COOKIE_AGE = 12 * 3600
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Strict"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
    }
}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LANGUAGE_COOKIE_SECURE = True
LANGUAGE_COOKIE_SAMESITE = "Strict"
TIME_ZONE = "UTC"
# The zone in which people write hours; empty: the machine's.  Django sets the variable anew.
HUB_TIME_ZONE = env.read.str("TZ", "")
USE_TZ = True
STATIC_URL = "static/"
STATICFILES_DIRS = [env.SOURCE / "static"]
WHITENOISE_USE_FINDERS = True

os.environ.setdefault("NOSETPS", "1")  # The processes have names; Celery need not give its own.
CELERY_BROKER_URL = REDIS_URL or "filesystem://localhost//"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # However long Redis is away, a worker waits for it.
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "normal"
CELERY_BEAT_SCHEDULE = {
    "upkeep": {
        "task": "couchapi.tasks.look_after",
        "schedule": 5 * HUB_HOUSEKEEPING_SECONDS,
        "options": {"queue": "background", "expires": 5 * HUB_HOUSEKEEPING_SECONDS},
    },
    "housekeeping": {
        "task": "couchapi.tasks.housekeeping",
        "schedule": HUB_HOUSEKEEPING_SECONDS,
        # What waits longer than until the next is not needed any more.
        "options": {"queue": "background", "expires": HUB_HOUSEKEEPING_SECONDS},
    },
    "pairings": {
        "task": "discovery.tasks.look",
        "schedule": HUB_PAIRING_SECONDS,
        "options": {"queue": "background", "expires": HUB_PAIRING_SECONDS},
    },
    "tor": {
        "task": "discovery.tasks.look_after_tor",
        "schedule": HUB_TOR_SECONDS,
        "options": {"queue": "background", "expires": HUB_TOR_SECONDS},
    },
    "backups": {
        "task": "thalihub.tasks.look_after_backups",
        "schedule": HUB_BACKUP_SECONDS,
        "options": {"queue": "background", "expires": HUB_BACKUP_SECONDS},
    },
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = CELERY_WORKER_REDIRECT_STDOUTS = False
if REDIS_URL:
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object] = dict(REDIS_SOCKET)
else:
    CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(HUB_DATA / "queue" / "messages"),
        "data_folder_out": str(HUB_DATA / "queue" / "messages"),
        "control_folder": str(HUB_DATA / "queue" / "control"),
        "polling_interval": 0.1,
    }

LOGGING = logs.settings(
    HUB_DATA, env.read.str("HUB_LOG_LEVEL", "INFO"), env.read.str("HUB_LOG_FORMAT", "console")
)
