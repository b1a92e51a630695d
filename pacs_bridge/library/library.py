"""The models of a site: what is here, what comes, what goes.

A model that comes is made ready in ``.incoming`` and gets its place by one rename, so that a
server never sees half of it; downloads stay in ``.downloads`` until their model stands. Models
that ship with Preread are described in the catalogue and never touched.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from models.errors import SpecError
from models.intake.brought import Brought, read_said, recognise
from models.intake.first_spec import with_files, write_first_spec
from models.intake.installation import Installation, trust_code, write_installation
from models.spec import CATALOG, SPEC_NAME, ModelSpec, model_folders, read_spec, verify_files
from pacs_bridge.errors import DownloadFailed, LibraryError
from pacs_bridge.library.download import Digest, fetch, is_address
from pacs_bridge.library.holdings import copy_model, described_files, hash_files
from pacs_bridge.library.large_files import missing_large_files
from pacs_bridge.library.names import NAME, file_name_of, in_folder, name_for, renamed
from pacs_bridge.library.notes import notes_on, other_address, this_person
from pacs_bridge.library.staging import Staging
from pacs_bridge.library.unpack import is_zip, unpack
from pacs_bridge.library.values import Added, Agree, Entry, Terms, Watch
from pacs_bridge.settings import Settings


class Library:
    """The models that these settings see.

    Args:
        settings: ``models.folder`` is where models are put.
        watch: told of every download.
    """

    def __init__(self, settings: Settings, watch: Watch = lambda what, here, whole: None) -> None:
        self._settings = settings
        self.folder = settings.models_folder
        self._staging = Staging(self.folder)
        self._watch = watch

    def entries(self) -> list[Entry]:
        """Every model that is here or can be pulled, those that run first."""
        found = []
        for name, folder in model_folders(self._settings.model_folders).items():
            try:
                spec = read_spec(folder)
            except SpecError as error:
                found.append(Entry(name, "broken", None, str(error)))
                continue
            found.append(Entry(name, self._state(spec), spec))
        order = ["enabled", "shadow", "broken", "installed"]
        return sorted(
            found, key=lambda e: (order.index(e.state) if e.state in order else 9, e.name.lower())
        )

    def _state(self, spec: ModelSpec) -> str:
        models = self._settings.models
        if not spec.installed:
            if spec.origin is not None and spec.origin.url:
                return f"`preread models pull {spec.name}`"
            return "`preread models add`"
        if spec.name in models.enabled:
            return "enabled"
        if spec.name in models.shadow:
            return "shadow"
        return "to be filled in" if spec.unfilled else "installed"

    def pull(
        self, name: str, agree: Agree, *, source: str = "", again: bool = False, trust: bool = False
    ) -> Added:
        """Fetch a model that is described with the address of its weights.

        Args:
            name: its name in the catalogue, or in a folder of ``models.folders``.
            agree: asked with its licence.
            source: a file, a folder that holds it, or an address, instead of the publisher's.
            again: although the same version is here.
            trust: its own Python may run.

        Raises:
            LibraryError: no such model to pull, not agreed to, or what came is not it.
            SpecError: what came can't be used.
        """
        described = self._catalogued(name)
        origin = described.origin
        assert origin is not None
        here = self.folder / name
        if (here / SPEC_NAME).is_file() and not again:
            version = read_spec(here).version
            if version == described.version:
                raise LibraryError(
                    f"{here}: version {version} is here already; `preread models verify {name}` "
                    "checks it, --again fetches it once more"
                )
        terms = Terms.of(origin)
        if not agree(terms):
            raise LibraryError(f"{name}: {origin.licence} was not agreed to; nothing was fetched")
        digest = Digest("sha1", origin.sha1) if origin.sha1 else None
        file_name = file_name_of(origin.url)
        archive = self._obtain(in_folder(source, file_name) or origin.url, digest, file_name)
        with self._staging.incoming(name) as stage:
            unpack(archive, stage / "unpacked")
            brought = recognise(stage / "unpacked")
            if brought.kind != described.network.kind:
                raise LibraryError(f"{archive}: holds {brought.kind}, no {described.network.kind}")
            text = (described.folder / SPEC_NAME).read_text(encoding="utf-8")
            added = self._install(
                stage, name, brought, text, source=source or origin.url, licence=terms.licence,
                trust=trust,
            )  # fmt: skip
            if elsewhere := other_address(described, source):
                added = replace(added, notes=(*added.notes, elsewhere))
        if archive.parent == self._downloads:
            archive.unlink(missing_ok=True)
        return added

    def add(
        self,
        source: str,
        agree: Agree,
        *,
        name: str = "",
        sha256: str = "",
        replace: bool = False,
        trust: bool = False,
    ) -> Added:
        """Bring a model from a file, a folder or an address.

        Args:
            source: a MONAI bundle or nnU-Net v2 export (folder or zip), an ONNX or TorchScript
                file, or a finished Preread model.
            agree: asked where its licence, as the model or its description tells it, is none of
                the free ones.
            name: what to call it; empty: after what it says of itself.
            sha256: of the file; empty: taken as it comes.
            replace: take the place of the model of that name, keeping its description.
            trust: its own Python may run.

        Raises:
            LibraryError: it can't be fetched or unpacked, or the name is taken.
            SpecError: it is no model, or what it says of itself can't be read.
        """
        digest = Digest("sha256", sha256.lower()) if sha256 else None
        if name:
            self._check_name(name, replace)
        path = self._obtain(source, digest, file_name_of(source))
        with self._staging.incoming("unpacked") as stage:
            if is_zip(path):
                unpack(path, stage / "unpacked")
                brought = recognise(stage / "unpacked")
            else:
                brought = recognise(path)
            name = name or name_for(brought, path, stage)
            self._check_name(name, replace)
            text, terms = self._description(name, brought, source, replace)
            if not terms.free and not agree(terms):
                raise LibraryError(f"{source}: its licence was not agreed to; nothing was added")
            added = self._install(
                stage, name, brought, text, source=source, licence=terms.licence, trust=trust
            )
        if path.parent == self._downloads:
            path.unlink(missing_ok=True)
        return added

    def remove(self, name: str) -> Path:
        """Remove a model; the folder that it was in.

        Raises:
            LibraryError: it is not here, ships with Preread, runs, or lies in another folder.
        """
        models = self._settings.models
        for role, names in (("enabled", models.enabled), ("shadow", models.shadow)):
            if name in names:
                raise LibraryError(
                    f"{name}: it is in models.{role}; take it out of the settings and start the "
                    "server again before you remove it"
                )
        folder = self.removable(name)
        self._staging.remove(folder)
        return folder

    def removable(self, name: str) -> Path:
        """The folder of a model that may be removed.

        Raises:
            LibraryError: it is not here, ships with Preread, or lies in another folder.
        """
        where = model_folders(self._settings.model_folders).get(name)
        if where is None or not NAME.fullmatch(name):
            raise LibraryError(f"no model is called {name!r}; `preread models list` lists them")
        if where.parent == CATALOG:
            raise LibraryError(
                f"{name}: it ships with Preread and can't be removed; leave it out of "
                "models.enabled and it does nothing"
            )
        if where != self.folder / name or where.is_symlink():
            raise LibraryError(
                f"{where}: lies outside models.folder ({self.folder}); remove it yourself"
            )
        return where

    @property
    def _downloads(self) -> Path:
        return self.folder / ".downloads"

    def _catalogued(self, name: str) -> ModelSpec:
        """The description that says where the model comes from: a site's own, else the shipped."""
        folders = model_folders((*self._settings.models.folders,))
        here = model_folders((self.folder,))
        pullable = {}
        for each, folder in (here | folders).items():
            try:
                spec = read_spec(folder)
            except SpecError:
                if each == name:
                    raise
                continue
            if spec.origin is not None and spec.origin.url:
                pullable[each] = spec
        if name not in pullable:
            raise LibraryError(
                f"{name}: no such model to pull; there are: {', '.join(sorted(pullable))}. Any "
                "other comes with `preread models add PATH_OR_URL`"
            )
        return pullable[name]

    def _obtain(self, source: str, digest: Digest | None, file_name: str) -> Path:
        if is_address(source):
            self._downloads.mkdir(parents=True, exist_ok=True)
            target = self._downloads / file_name
            if digest is not None and target.is_file() and digest.of(target) == digest.value:
                return target
            return fetch(source, target, digest=digest, progress=partial(self._watch, file_name))
        path = Path(source).expanduser()
        if not path.exists():
            raise LibraryError(f"{source}: no such file or folder, and no http(s) address")
        if digest is not None and path.is_file():
            digest.check(path, source)
        elif digest is not None:
            raise LibraryError(
                f"{path}: a folder has no hash to check; name the zip, or bring the folder with "
                "`preread models add`"
            )
        return path

    def _check_name(self, name: str, replace: bool) -> None:
        if not NAME.fullmatch(name):
            raise LibraryError(
                f"{name!r} is no name for a model: letters, digits, _ and -; choose one with --name"
            )
        shipped = CATALOG / name
        if (shipped / SPEC_NAME).is_file() and read_spec(shipped).installed:
            raise LibraryError(f"{name}: this model ships with Preread; choose another with --name")
        if (self.folder / name).exists() and not replace:
            raise LibraryError(
                f"{self.folder / name}: there is a model of that name; --replace puts the new one "
                "in its place and keeps its description, --name gives it another name"
            )

    def _description(
        self, name: str, brought: Brought, source: str, replace: bool
    ) -> tuple[str, Terms]:
        """The text of its ``preread.toml``, and its licence as that and the model tell it."""
        if brought.kind == "preread":
            spec = read_spec(brought.root, named=False)
            text = (brought.root / SPEC_NAME).read_text(encoding="utf-8")
            return renamed(text, name), Terms.of(spec.origin)
        said = read_said(brought)
        kept = self.folder / name / SPEC_NAME
        if replace and kept.is_file():
            spec = read_spec(kept.parent)
            return kept.read_text(encoding="utf-8"), Terms.of(spec.origin, said.licence)
        shipped = CATALOG / name
        if (shipped / SPEC_NAME).is_file():
            spec = read_spec(shipped)
            same = said.version in ("", spec.version)
            if spec.network.kind == brought.kind and same:
                text = (shipped / SPEC_NAME).read_text(encoding="utf-8")
                return text, Terms.of(spec.origin, said.licence)
        return write_first_spec(name, brought, said, source), Terms(said.licence)

    def _install(
        self, stage: Path, name: str, brought: Brought, text: str, *,
        source: str, licence: str, trust: bool,
    ) -> Added:  # fmt: skip
        """Make the folder ready, and put it in its place."""
        made = stage / name
        copy_model(brought, made, move=brought.root.is_relative_to(stage))
        (made / SPEC_NAME).write_text(text, encoding="utf-8")
        spec = read_spec(made)
        kind = spec.network.kind
        if kind == "monai-bundle":
            self._complete(made, spec.network.config)
        if brought.kind == "preread" and spec.installed:
            verify_files(spec)
        else:
            files = described_files(made, kind)
            sums = hash_files(made, files)
            (made / SPEC_NAME).write_text(with_files(text, files, sums), encoding="utf-8")
        who = this_person()
        now = datetime.now().astimezone().replace(microsecond=0)
        write_installation(made, Installation(who=who, at=now, source=source, licence=licence))
        if trust:
            trust_code(made, who, now)
        read_spec(made)
        self._staging.put(made, name)
        spec = read_spec(self.folder / name)
        return Added(spec, tuple(notes_on(spec, brought, trust)))

    def _complete(self, bundle: Path, config: str) -> None:
        """Fetch the weights that the bundle only names."""
        for large in missing_large_files(bundle, config):
            kept = self._downloads / f"{bundle.name}.{Path(large.path).name}"
            try:
                got = fetch(
                    large.url, kept, digest=large.digest, progress=partial(self._watch, large.path)
                )
            except DownloadFailed as error:
                raise DownloadFailed(
                    f"{error}. It belongs at {large.path} in the bundle: put it there and add the "
                    "bundle again"
                ) from error
            target = bundle / large.path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(got, target)
