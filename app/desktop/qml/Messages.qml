// The messages of the open conversation. While its end is in sight, it stays there.
import QtQuick
import QtQuick.Controls.Basic
import Olivine

Item {
    id: messages
    property alias list: list
    signal picture_opened(url picture)

    function to_end() {
        list.follow = true
        list.positionViewAtEnd()
    }
    function page(direction) {
        const most = Math.max(list.originY, list.originY + list.contentHeight - list.height)
        list.contentY = Math.max(list.originY, Math.min(most, list.contentY + direction * list.height * 0.9))
        list.follow = list.atYEnd
    }
    function edit_last() {
        for (let i = list.count - 1; i >= 0; --i) {
            const item = list.itemAtIndex(i)
            if (item && item.fromUser)
                return item.edit()
        }
    }

    ListView {
        id: list
        objectName: "messageList"
        anchors.fill: parent
        model: App.conversation
        property bool follow: true
        clip: true
        boundsBehavior: Flickable.StopAtBounds
        cacheBuffer: Math.max(0, height)
        topMargin: Theme.spacing * 2
        bottomMargin: Theme.spacing
        activeFocusOnTab: true
        ScrollBar.vertical: Scroll {
            onPressedChanged: if (!pressed) list.follow = list.atYEnd
        }
        Accessible.role: Accessible.List
        Accessible.name: qsTr("Messages")
        onMovementStarted: follow = false
        onMovementEnded: follow = atYEnd
        onContentHeightChanged: if (follow) Qt.callLater(list.positionViewAtEnd)
        onHeightChanged: if (follow) Qt.callLater(list.positionViewAtEnd)
        onCountChanged: if (follow) Qt.callLater(list.positionViewAtEnd)
        Keys.onUpPressed: messages.page(-0.2)
        Keys.onDownPressed: messages.page(0.2)
        delegate: Message {
            width: list.width
            onPicture_opened: picture => messages.picture_opened(picture)
        }
        Connections {
            target: App.conversation
            function onOpened() { messages.to_end() }
            function onSent() { messages.to_end() }
            function onShow_message(index) {
                list.follow = false
                list.positionViewAtIndex(index, ListView.Center)
            }
        }
    }
    IconButton {
        objectName: "toEnd"
        visible: !list.atYEnd && list.contentHeight > list.height
        anchors { horizontalCenter: parent.horizontalCenter; bottom: parent.bottom; bottomMargin: Theme.spacing }
        name: qsTr("To the end")
        symbol: "down"
        hint: "Ctrl+End"
        background: Rectangle {
            radius: height / 2
            color: Theme.field
            border.color: Theme.border
        }
        onClicked: messages.to_end()
    }
}
