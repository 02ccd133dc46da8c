"""Section 1 and appendix D of the reference: every field with its type, whether it is required, default and bounds.

One line is `path type [required] [= default] [bounds]`; [] is any entry of a list, {} any value of a map.
"""

from __future__ import annotations

START = "CliqueStartupTypeAnyOrder|CliqueStartupTypeInOrder|CliqueStartupTypeExplicit"
DOMAIN = "1..63 ^[a-z][a-z0-9-]*$"
TOPOLOGY = f"""
topologyName string
pack object
pack.required string {DOMAIN}
pack.preferred string {DOMAIN}
packDomain string {DOMAIN}
"""
SHARING = """
name string required
namespace string
scope string required AllReplicas|PerReplica
"""
SCALING = """
minReplicas int32
maxReplicas int32 required
metrics list atomic
"""
ROLLING = """
maxUnavailable int32
progressDeadline string
"""
CLIQUE_SPEC = """
roleName string required
podSpec object required
podSpec.containers list required map:name
replicas int32 required
minAvailable int32
startsAfter list atomic
startsAfter[] string
autoScalingConfig object
"""
SPREAD = """
topologyKey string required
maxSkew int32 = 1
whenUnsatisfiable string = ScheduleAnyway ScheduleAnyway|DoNotSchedule
minDomains int32
labelSelector object
"""
ERRORS = """
code string required
description string required
observedAt time required
"""
CONDITION = """
type string required
status string required True|False|Unknown
reason string required
message string required
lastTransitionTime time required
observedGeneration int64
"""


def below(prefix: str, lines: str) -> str:
    """The same lines under a field."""
    return "\n".join(f"{prefix}.{line}" for line in lines.strip().splitlines())


PODCLIQUESET = f"""
spec object required
spec.replicas int32 = 0
spec.updateStrategy object
spec.updateStrategy.type string = RollingRecreate RollingRecreate|OnDelete|Coherent
spec.replicaSpreadConstraints list map:topologyKey,whenUnsatisfiable
{below("spec.replicaSpreadConstraints[]", SPREAD)}
spec.template object required
spec.template.cliques list required map:name
spec.template.cliqueStartupType string = CliqueStartupTypeAnyOrder {START}
spec.template.priorityClassName string
spec.template.headlessServiceConfig object
spec.template.headlessServiceConfig.publishNotReadyAddresses bool required = True
spec.template.topologyConstraint object
{below("spec.template.topologyConstraint", TOPOLOGY)}
spec.template.terminationDelay string
spec.template.resourceClaimTemplates list
spec.template.resourceClaimTemplates[].name string required
spec.template.resourceClaimTemplates[].templateSpec object required
spec.template.resourceClaimTemplates[].templateSpec.spec.devices.requests list
spec.template.resourceSharing list
{below("spec.template.resourceSharing[]", SHARING)}
spec.template.resourceSharing[].filter object
spec.template.resourceSharing[].filter.childCliqueNames list
spec.template.resourceSharing[].filter.childScalingGroupNames list
spec.template.podCliqueScalingGroups list map:name
spec.template.cliques[].name string required
spec.template.cliques[].labels map
spec.template.cliques[].labels{{}} string
spec.template.cliques[].annotations map
spec.template.cliques[].topologyConstraint object
{below("spec.template.cliques[].topologyConstraint", TOPOLOGY)}
spec.template.cliques[].resourceSharing list
{below("spec.template.cliques[].resourceSharing[]", SHARING)}
spec.template.cliques[].rollingUpdate object
{below("spec.template.cliques[].rollingUpdate", ROLLING)}
spec.template.cliques[].spec object required
{below("spec.template.cliques[].spec", CLIQUE_SPEC)}
{below("spec.template.cliques[].spec.autoScalingConfig", SCALING)}
spec.template.podCliqueScalingGroups[].name string required
spec.template.podCliqueScalingGroups[].cliqueNames list required atomic
spec.template.podCliqueScalingGroups[].annotations map
spec.template.podCliqueScalingGroups[].replicas int32 = 1
spec.template.podCliqueScalingGroups[].minAvailable int32 = 1
spec.template.podCliqueScalingGroups[].scaleConfig object
{below("spec.template.podCliqueScalingGroups[].scaleConfig", SCALING)}
spec.template.podCliqueScalingGroups[].resourceSharing list
{below("spec.template.podCliqueScalingGroups[].resourceSharing[]", SHARING)}
spec.template.podCliqueScalingGroups[].resourceSharing[].filter.childCliqueNames list
spec.template.podCliqueScalingGroups[].topologyConstraint object
spec.template.podCliqueScalingGroups[].rollingUpdate object
{below("spec.template.podCliqueScalingGroups[].rollingUpdate", ROLLING)}
status.observedGeneration int64
status.conditions list map:type
{below("status.conditions[]", CONDITION)}
status.lastErrors list
{below("status.lastErrors[]", ERRORS)}
status.replicas int32
status.updatedReplicas int32 required = 0
status.availableReplicas int32 required = 0
status.hpaPodSelector string
status.podGangStatuses list
status.podGangStatuses[].name string required
status.podGangStatuses[].phase string required Pending|Starting|Running|Failed|Succeeded
status.currentGenerationHash string
status.updateProgress object
status.updateProgress.updateStartedAt time
status.updateProgress.updateEndedAt time
status.updateProgress.updatedPodCliquesCount int32 = 0
status.updateProgress.totalPodCliquesCount int32 = 0
status.updateProgress.updatedPodCliqueScalingGroupsCount int32 = 0
status.updateProgress.totalPodCliqueScalingGroupsCount int32 = 0
status.updateProgress.currentlyUpdating list
status.updateProgress.currentlyUpdating[].replicaIndex int32 required
status.updateProgress.currentlyUpdating[].updateStartedAt time
status.updateProgress.currentlyUpdating[].updateEndedAt time
"""

PODCLIQUE = f"""
spec object required
{below("spec", CLIQUE_SPEC)}
{below("spec.autoScalingConfig", SCALING)}
status.observedGeneration int64
status.lastErrors list
status.replicas int32
status.readyReplicas int32 = 0
status.updatedReplicas int32 = 0
status.scheduleGatedReplicas int32 = 0
status.scheduledReplicas int32 = 0
status.hpaPodSelector string
status.conditions list map:type
status.currentPodCliqueSetGenerationHash string
status.currentPodTemplateHash string
status.updateProgress.updateStartedAt time
status.updateProgress.updateEndedAt time
status.updateProgress.podCliqueSetGenerationHash string required
status.updateProgress.podTemplateHash string required
status.updateProgress.readyPodsSelectedToUpdate.current string required
status.updateProgress.readyPodsSelectedToUpdate.completed list
"""

SCALINGGROUP = """
spec object required
spec.replicas int32 required = 1
spec.minAvailable int32 = 1
spec.cliqueNames list required
status.replicas int32
status.scheduledReplicas int32 = 0
status.availableReplicas int32 = 0
status.updatedReplicas int32 = 0
status.selector string
status.observedGeneration int64
status.lastErrors list
status.conditions list map:type
status.currentPodCliqueSetGenerationHash string
status.updateProgress.updateStartedAt time required
status.updateProgress.updateEndedAt time
status.updateProgress.podCliqueSetGenerationHash string required
status.updateProgress.updatedPodCliquesCount int32
status.updateProgress.totalPodCliquesCount int32
status.updateProgress.readyReplicaIndicesSelectedToUpdate.current int32 required
status.updateProgress.readyReplicaIndicesSelectedToUpdate.completed list
"""

PACK = """
packConstraint object
packConstraint.required string
packConstraint.preferred string
"""
PODGANG = f"""
spec object required
spec.podgroups list required
spec.podgroups[].name string required
spec.podgroups[].podReferences list required
spec.podgroups[].podReferences[].namespace string required
spec.podgroups[].podReferences[].name string required
spec.podgroups[].minReplicas int32 required
{below("spec.podgroups[].topologyConstraint", PACK)}
{below("spec.topologyConstraint", PACK)}
spec.topologyConstraintGroupConfigs list
spec.topologyConstraintGroupConfigs[].name string required
spec.topologyConstraintGroupConfigs[].podGroupNames list required
{below("spec.topologyConstraintGroupConfigs[].topologyConstraint", PACK)}
spec.spreadConstraints list map:topologyKey,whenUnsatisfiable
{below("spec.spreadConstraints[]", SPREAD)}
spec.priorityClassName string
spec.reuseReservationRef object
spec.reuseReservationRef.namespace string required
spec.reuseReservationRef.name string required
status.phase string required
status.conditions list map:type
status.placementScore double
"""

KEY = "1..63 ^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$"
TOPOLOGYBINDING = f"""
spec object required
spec.levels list required min:1
spec.levels[].domain string required {DOMAIN}
spec.levels[].key string required {KEY}
spec.schedulerTopologyBindings list
spec.schedulerTopologyBindings[].schedulerName string required
spec.schedulerTopologyBindings[].topologyReference string required
status.observedGeneration int64
status.schedulerTopologyStatuses list
status.schedulerTopologyStatuses[].schedulerName string required
status.schedulerTopologyStatuses[].topologyReference string required
status.schedulerTopologyStatuses[].inSync bool required
status.schedulerTopologyStatuses[].schedulerBackendTopologyObservedGeneration int64
status.schedulerTopologyStatuses[].message string
status.conditions list map:type
"""

PODGANGSET = f"""
spec object required
spec.replicas int32 = 0
spec.template object required
spec.template.cliques list required map:name
spec.template.cliqueStartupType string {START}
spec.template.priorityClassName string
spec.template.headlessServiceConfig object
spec.template.headlessServiceConfig.publishNotReadyAddresses bool required = True
spec.template.schedulingPolicyConfig.networkPackGroupConfigs list
spec.template.schedulingPolicyConfig.networkPackGroupConfigs[].cliqueNames list required
spec.template.terminationDelay string
spec.template.podCliqueScalingGroups list map:name
spec.template.podCliqueScalingGroups[].name string required
spec.template.podCliqueScalingGroups[].cliqueNames list required
{below("spec.template.podCliqueScalingGroups[].scaleConfig", SCALING)}
spec.replicaSpreadConstraints list
{below("spec.replicaSpreadConstraints[]", SPREAD)}
status.conditions list map:type
"""

FIELDS = {
    "podcliquesets": PODCLIQUESET,
    "podcliques": PODCLIQUE,
    "podcliquescalinggroups": SCALINGGROUP,
    "podgangs": PODGANG,
    "clustertopologybindings": TOPOLOGYBINDING,
    "podgangsets": PODGANGSET,
}
