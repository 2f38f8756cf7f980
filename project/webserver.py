"""How gunicorn serves the service: `gunicorn --config python:project.webserver project.wsgi`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

from django.conf import settings

from project.environment import environment

bind = f"{environment.bind_address}:{environment.port}"
worker_class = "gthread"
workers = environment.web_processes
threads = environment.web_threads
#: A worker that does not show life for as many seconds is killed and replaced.
timeout = 30
#: Requests under way at SIGTERM get as many seconds to finish.
graceful_timeout = 10
keepalive = 5
#: Nobody steers the server through a socket.
control_socket_disable = True
logconfig_dict = settings.LOGGING
