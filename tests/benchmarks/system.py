"""What a measured system is: its module, its workers' command, and what it needs."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class System:
    """A task queue that is measured.

    Args:
        module: Its module in ``systems/``.
        title: What the table calls it.
        command: Its worker's command line after the interpreter; ``{processes}``, ``{threads}`` and ``{url}`` (of the
            broker) are filled in.
        variant: Tells systems of one module apart.
        copies: Whether it is started once per process.
        messages: How many messages a throughput run sends; fewer where even those take longer than the run.
        needs: The oldest Python that it runs in.
        django: Its Django settings, if it has any.
        environment: What its processes have in their environment; ``{database}`` is filled in.
    """

    module: str
    title: str
    command: str
    variant: str = ""
    copies: bool = False
    messages: int = 20_000
    needs: tuple[int, int] = (3, 11)
    django: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Under which name its figures are kept."""
        return f"{self.module}{self.variant}"

    @property
    def is_ours(self) -> bool:
        """Whether it is this service."""
        return self.module.startswith("ours")
