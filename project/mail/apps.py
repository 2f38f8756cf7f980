from django.apps import AppConfig


class MailConfig(AppConfig):
    name = "project.mail"
