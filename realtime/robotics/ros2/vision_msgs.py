"""Defines the messages of vision_msgs 4.1, the version of ROS 2 Humble to Lyrical, which rosbags lacks.

Fields, types and order are those of github.com/ros-perception/vision_msgs (Apache License 2.0); comments are left out.
They decide the bytes and the type hash, so nothing may be changed here.
"""

_HEAD = "std_msgs/Header header"
_RESULTS = "vision_msgs/ObjectHypothesisWithPose[] results"
DEFINITIONS = {
    "Point2D": "float64 x\nfloat64 y",
    "Pose2D": "vision_msgs/Point2D position\nfloat64 theta",
    "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y",
    "BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size",
    "ObjectHypothesis": "string class_id\nfloat64 score",
    "ObjectHypothesisWithPose": "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose",
    "Detection2D": f"{_HEAD}\n{_RESULTS}\nvision_msgs/BoundingBox2D bbox\nstring id",
    "Detection2DArray": f"{_HEAD}\nvision_msgs/Detection2D[] detections",
    "Detection3D": f"{_HEAD}\n{_RESULTS}\nvision_msgs/BoundingBox3D bbox\nstring id",
    "Detection3DArray": f"{_HEAD}\nvision_msgs/Detection3D[] detections",
}
"""Type -> its .msg text."""
