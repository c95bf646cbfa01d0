"""The refusals of hawkBit 1.0.x, with its statuses, error codes and words (SpServerError, RestConfiguration)."""

from simulator.center import rules
from simulator.center.web import CenterError, Json

JAVA = "org.eclipse.hawkbit.repository.exception."


def not_found(kind: str, entity: object, key: Json = None) -> CenterError:
    """404 with hawkBit's words; ``key`` is the ``entityId`` where it is written otherwise than in the text."""
    text = f"{kind} with given identifier {{{entity}}} does not exist."
    info = {"type": kind, "entityId": entity if key is None else key}
    return CenterError(404, "hawkbit.server.error.repo.entityNotFound", text, JAVA + "EntityNotFoundException", info)


def conflict(text: str = "The given entity already exists in database") -> CenterError:
    """409: the entity exists already."""
    code = "hawkbit.server.error.repo.entityAlreadyExists"
    return CenterError(409, code, text, JAVA + "EntityAlreadyExistsException")


def wrong_checksum(name: str, given: str, found: str) -> CenterError:
    """400: an uploaded file is not what its sender says it is; ``name`` is md5, sha1 or sha256."""
    code = f"hawkbit.server.error.artifact.uploadFailed.checksum.{name}.match"
    text = f"The given {name} hash {given} does not match the calculated {name} hash {found}"
    return CenterError(400, code, text, f"{JAVA}Invalid{name.capitalize()}HashException")


def invalid(text: str) -> CenterError:
    """400: a value breaks a constraint."""
    code = "hawkbit.server.error.repo.constraintViolation"
    return CenterError(400, code, text, "jakarta.validation.ConstraintViolationException")


def locked(kind: str, entity: int, operation: str) -> CenterError:
    """423: assigned sets and their modules cannot be changed."""
    text = f"{kind} with given identifier {{{entity}}} is locked and {operation} is forbidden!"
    return CenterError(423, "hawkbit.server.error.locked", text, JAVA + "LockedException")


def quota(kind: str, parent: str, entity: object, limit: int, more: int = 1) -> CenterError:
    """429 with the error code that tells a quota (never to be retried) from the rate limit."""
    text = f"Quota exceeded: Cannot assign {more} more {kind} entities to {parent} '{entity}'. The maximum is {limit}."
    return CenterError(429, rules.QUOTA_CODE, text, JAVA + "AssignmentQuotaExceededException")


def not_cancelable(text: str) -> CenterError:
    """405: the action cannot be cancelled now."""
    code = "hawkbit.server.error.action.notCancelable"
    return CenterError(405, code, text, JAVA + "CancelActionNotAllowedException")


def incomplete() -> CenterError:
    """400: a set lacks a mandatory module type and cannot be assigned."""
    text = "Distribution set is assigned/locked to a target that is incomplete (i.e. mandatory modules are missing)"
    return CenterError(400, "hawkbit.server.error.distributionset.incomplete", text)


def not_force_quitable(action_id: int) -> CenterError:
    """405: only an action that is being cancelled can be forced to quit."""
    text = f"{action_id} is not canceled yet and cannot be force quit"
    code = "hawkbit.server.error.action.notForceQuitable"
    return CenterError(405, code, text, JAVA + "ForceQuitActionNotAllowedException")


def bad_attributes() -> CenterError:
    """400: an attribute's key or value has a forbidden character or is too long."""
    code = "hawkbit.server.error.repo.invalidTargetAttributes"
    return CenterError(400, code, "The given target attributes are invalid", JAVA + "InvalidTargetAttributeException")


def foreign_action(action_id: int, controller_id: str) -> CenterError:
    """404: the action is another target's."""
    text = f"Not a valid action ({action_id}) for target: {controller_id}"
    return CenterError(404, "hawkbit.server.error.repo.entityNotFound", text, JAVA + "EntityNotFoundException")


def not_assigned(module_id: int, controller_id: str) -> CenterError:
    """404: no active action of the target brings this module."""
    text = f"No assignment found for SoftwareModule with id {{{module_id}}} to Target with id {{{controller_id}}}."
    java = JAVA + "SoftwareModuleNotAssignedToTargetException"
    return CenterError(404, "hawkbit.server.error.repo.entityNotFound", text, java)


def unknown_setting(key: str) -> CenterError:
    """400 for a configuration key that does not exist."""
    text = f"The given configuration key {key} does not exist."
    return CenterError(400, "hawkbit.server.error.configKeyInvalid", text, JAVA + "InvalidTenantConfigurationKeyException")


def bad_setting(text: str) -> CenterError:
    """400 for a value that the configuration key does not take."""
    java = JAVA + "TenantConfigurationValidatorException"
    return CenterError(400, "hawkbit.server.error.configValueInvalid", text, java)
